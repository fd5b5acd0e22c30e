"""Programs around the package: threads, event loops, homes that cannot be written to."""

import subprocess
import sys

import pytest

from support.clips import write_long_clip
from support.environment import of_users
from support.paths import ROOT

pytestmark = pytest.mark.programs

PROGRAM = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
from emotion_model import EmotionDetector

detector = EmotionDetector()

def look(_):
    return [(face.emotion, face.box) for face in detector.detect(sys.argv[1])]

async def looks():
    return await asyncio.gather(*(asyncio.to_thread(look, i) for i in range(8)))

with ThreadPoolExecutor(8) as pool:
    answers = [*pool.map(look, range(16)), *asyncio.run(looks())]
assert all(answer == answers[0] for answer in answers), answers
print(answers[0][0][0])
"""


LEFT = """
import sys
from emotion_model import EmotionDetector, VideoConfig, VideoReader, analyze

frames = analyze(VideoReader(sys.argv[1]), EmotionDetector(), VideoConfig(rate=5))
print(next(frames).faces[0].emotion)
raise SystemExit(3)
"""


def test_a_program_that_leaves_a_clip_in_the_middle_ends_as_it_says(tmp_path, film):
    clip = write_long_clip(tmp_path / "long.mp4", film, seconds=60)
    command = [sys.executable, "-c", LEFT, str(clip)]
    ended = subprocess.run(command, cwd=ROOT, env=of_users(), capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("happy\n", "", 3)


@pytest.mark.parametrize("home", [None, "/proc"], ids=["no home", "a home that cannot be written to"])
def test_threads_and_event_loops_get_the_same_answers_without_noise(photo, home):
    environment = of_users(HOME=home) if home else {name: value for name, value in of_users().items() if name != "HOME"}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(photo)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("happy\n", "")


def test_a_timeline_is_drawn_without_noise_where_home_cannot_be_written_to(clip, tmp_path):
    command = [sys.executable, "-m", "emotion_model", "video", str(clip), "--plot", str(tmp_path / "plot.png")]
    ended = subprocess.run(command, cwd=ROOT, env=of_users(HOME="/proc"), capture_output=True, text=True, check=False)
    assert (tmp_path / "plot.png").exists() and ended.stderr == ""
