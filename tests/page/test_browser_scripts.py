"""What the browser reads by itself, in Node: the same as here."""

import json
from itertools import chain, islice

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_model import EmotionDetector, Face, FaceDetector, FaceTracker, TrackingConfig
from emotion_model.timelines.table import columns, frame_rows
from support.paths import ORT, media
from ui.browser.networks import networks_for

SIZE = (640, 480)
FRAMES = 50


@pytest.fixture(scope="module")
def live_detector(detector):
    """The detector as Live has it."""
    return EmotionDetector(detector.classifier, FaceDetector(fine=False), mirrored=False)


@pytest.fixture(scope="module")
def networks(live_detector):
    found = networks_for(live_detector)
    if not found.how:
        pytest.skip(found.why_not)
    return found


@pytest.fixture
def read_in_node(node, networks, tmp_path):
    """Reads RGB frames of one size at their times, as the page and its workers do together; returns their rows."""
    if not ORT.is_dir():
        pytest.skip("no onnxruntime-web: npm install --prefix tests --no-package-lock")

    def read(frames, times):
        (tmp_path / "how.json").write_text(json.dumps(networks.how))
        for kind in ("faces", "emotions"):
            (tmp_path / f"{kind}.onnx").write_bytes(networks.files[networks.how["files"][kind]["address"]])
        opaque = np.full((*frames[0].shape[:2], 1), 255, np.uint8)
        (tmp_path / "frames").write_bytes(b"".join(np.dstack([frame, opaque]).tobytes() for frame in frames))
        height, width = frames[0].shape[:2]
        return node(f"""
        import {{readFileSync}} from 'fs';
        import * as ort from '{ORT.as_uri()}/ort.wasm.bundle.min.mjs';
        import {{Namer}} from './browser/naming.js';
        import {{Rows}} from './browser/rows.js';
        ort.env.wasm.numThreads = 1;
        ort.env.wasm.wasmBinary = readFileSync('{ORT}/ort-wasm-simd-threaded.wasm');
        const how = JSON.parse(readFileSync('how.json')), pixels = readFileSync('frames'), told = [];
        const session = name =>
          ort.InferenceSession.create(new Uint8Array(readFileSync(name)), {{logSeverityLevel: 3}});
        const sessions = {{faces: await session('faces.onnx'), emotions: await session('emotions.onnx')}};
        const namer = new Namer(ort, sessions, how), rows = new Rows(how), size = {4 * width * height};
        for (const [i, time] of {json.dumps(times)}.entries()) {{
          const data = pixels.subarray(i * size, (i + 1) * size);
          told.push(rows.of(await namer.read({{data, width: {width}, height: {height}}}), {{time}}));
        }}
        console.log(JSON.stringify(told));
        """)

    return read


def rows_here(detector, frames, times):
    tracker, emotions = FaceTracker(), detector.classifier.emotions
    return [
        [list(row.values()) for row in frame_rows(time, 0, tracker.update(detector.detect(frame), time), emotions)]
        for frame, time in zip(frames, times, strict=True)
    ]


def assert_same(found, wanted, emotions):
    """Ids and words are the same, boxes lie within 2 pixels, probabilities within 0.02."""
    names = columns(emotions)
    assert [len(rows) for rows in found] == [len(rows) for rows in wanted]
    for one, other in zip(chain(*found), chain(*wanted), strict=True):
        here, there = dict(zip(names, one, strict=True)), dict(zip(names, other, strict=True))
        for name in ("time", "frame", "face_id", "emotion", "clear"):
            assert here[name] == there[name], (name, here, there)
        if here["face_id"] is not None:
            np.testing.assert_allclose([here[k] for k in "xywh"], [there[k] for k in "xywh"], atol=2)
            close = (*emotions, "confidence", "intensity", "valence", "arousal")
            np.testing.assert_allclose([here[k] for k in close], [there[k] for k in close], atol=0.02)


def test_grey_is_to_the_last_pixel_as_opencv_has_it(node, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 4), np.uint8)
    (tmp_path / "picture").write_bytes(picture.tobytes())
    grey = node("""
    import {readFileSync} from 'fs';
    import {fillGrey} from './browser/pixels.js';
    const grey = new Uint8Array(256 * 256);
    fillGrey(grey, {data: readFileSync('picture')});
    console.log(JSON.stringify([...grey]));
    """)
    np.testing.assert_array_equal(np.reshape(grey, (256, 256)), cv2.cvtColor(picture, cv2.COLOR_RGBA2GRAY))


def test_frames_read_the_same_in_the_browser(read_in_node, live_detector, astronaut, surprised):
    """A portrait that moves, grows, turns its head, changes its face, is alone, is two, and goes."""
    frames = []
    for i in range(FRAMES):
        source = surprised if FRAMES // 3 < i < 2 * FRAMES // 3 else astronaut
        turn = cv2.getRotationMatrix2D((224, 140), 12 * np.sin(i / 4), 0.8 + i / 60)
        turn[:, 2] += (60 + 2 * i, 40 + i)
        frame = cv2.warpAffine(source, turn, SIZE, borderMode=cv2.BORDER_REPLICATE)
        if i % 10 > 6:
            frame[:240, :160] = cv2.resize(surprised[40:280, 140:300], (160, 240))
        if i % 10 == 3:
            frame //= 4  # the light goes out for a moment
        frames.append(frame if i < FRAMES - 3 else np.full_like(frame, 90))
    times = [round(i / 15, 3) for i in range(FRAMES)]
    found, wanted = read_in_node(frames, times), rows_here(live_detector, frames, times)
    assert_same(found, wanted, live_detector.classifier.emotions)
    assert {len(rows) for rows in wanted} == {1, 2}


@pytest.mark.parametrize("side", [480, 320])
def test_pictures_of_other_sizes_read_the_same(read_in_node, live_detector, astronaut, side):
    frame = cv2.resize(astronaut[:384], (side, side * 3 // 4), interpolation=cv2.INTER_AREA)
    assert_same(read_in_node([frame], [0]), rows_here(live_detector, [frame], [0]), live_detector.classifier.emotions)


@pytest.mark.parametrize("clip", ["one_face_neutral_to_smile.mp4", "one_face_talking_15s.mp4"])
def test_real_faces_read_the_same(read_in_node, live_detector, clip):
    with av.open(str(media(clip))) as container:
        read = [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in islice(container.decode(video=0), 0, FRAMES, 2)
        ]
    scale = SIZE[0] / max(read[0][1].shape)  # as the page takes them from the camera
    times = [time for time, _ in read]
    frames = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for _, frame in read]
    found, wanted = read_in_node(frames, times), rows_here(live_detector, frames, times)
    assert_same(found, wanted, live_detector.classifier.emotions)


EMOTIONS = ("angry", "happy", "neutral")
POSITION, SIDE = st.integers(0, 400), st.integers(20, 200)
SHARES = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda one: np.float32(one) / np.float32(sum(one)))
BOX = st.tuples(POSITION, POSITION, SIDE, SIDE)
FACES = st.lists(st.tuples(BOX, SHARES), max_size=3)
STEP = st.sampled_from([0.03, 0.1, 0.5, 1.5, 6.0])
SMOOTHING = st.sampled_from([0.0, 0.5, 2.0])


@st.composite
def visits(draw):
    """Frames (seconds since the last one, smoothing, faces) of people who come, go and jump."""
    smoothing = draw(SMOOTHING)
    return [(step, smoothing, faces) for step, faces in draw(st.lists(st.tuples(STEP, FACES), min_size=1, max_size=12))]


@st.composite
def stays(draw):
    """The same of people who stay for long, hardly move, and are now of this mood, now of that one."""
    boxes = draw(st.lists(BOX, min_size=1, max_size=3))
    moods = draw(st.lists(SHARES, min_size=2, max_size=3))
    smoothings = draw(st.lists(SMOOTHING, min_size=1, max_size=3))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))  # drawing each move would take seconds
    length, lasts = draw(st.integers(20, 40)), draw(st.integers(1, 8))
    steps = []
    for number in range(length):
        boxes = [(x + random.integers(-4, 5), y + random.integers(-4, 5), w, h) for x, y, w, h in boxes]
        faces = [(tuple(map(int, box)), moods[(number // lasts + i) % len(moods)]) for i, box in enumerate(boxes)]
        steps.append((round(random.uniform(0.1, 0.5), 2), smoothings[number * len(smoothings) // length], faces))
    return steps


def test_faces_are_followed_and_smoothed_the_same(node, networks):
    """Sessions of all kinds, all in one run of Node."""
    sessions = []

    @settings(max_examples=150)
    @given(visits() | stays())
    def collect(session):
        sessions.append(session)

    collect()
    wanted, given_to_node = [], []
    for session in sessions:
        tracker, time, rows, frames = FaceTracker(), 0.0, [], []
        for step, smoothing, faces in session:
            time += step
            tracker.config = TrackingConfig(smoothing=smoothing)
            seen = [Face(box, shares, emotions=EMOTIONS, clear_from=0.45) for box, shares in faces]
            rows.append([list(row.values()) for row in frame_rows(time, 0, tracker.update(seen, time), EMOTIONS)])
            boxes = [{"box": box, "probabilities": shares.tolist()} for box, shares in faces]
            frames.append({"time": time, "smoothing": smoothing, "faces": boxes})
        wanted.append(rows)
        given_to_node.append(frames)
    how = networks.how | {
        "emotions": networks.how["emotions"] | {"names": EMOTIONS},
        "tracking": networks.how["tracking"] | {"clear_from": 0.45},
        "columns": len(columns(EMOTIONS)),
    }
    found = node(f"""
    import {{Rows}} from './browser/rows.js';
    const how = {json.dumps(how)};
    console.log(JSON.stringify({json.dumps(given_to_node)}.map(frames => {{
      const rows = new Rows(how);
      return frames.map(({{faces, time, smoothing}}) => rows.of(faces, {{time, smoothing}}));
    }})));
    """)
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other, EMOTIONS)
