"""Damaged pictures and clips by the thousand: python tests/fuzz.py --pictures 60000 --clips 1000 --seed 1

Each must be read or be refused with a sentence, in time and without much memory; what happens otherwise is told, and
its file is saved. Prints one line of JSON at the end; exits with 1 if anything was unexpected. Files are read in a
process of their own, so that a crash or a hang of a decoder is one finding and not the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

from support.damage import clips, damaged, pictures, try_clip, try_picture  # noqa: E402

SECONDS = 20.0  # for one file; a busy machine is slow
MEGABYTES = 2000  # that the process may hold; 50 megapixels of 32 bits take over one GB on their way to RGB


def work(kind: str, files: dict[str, bytes], seed: int, numbers: range, results: Connection) -> None:
    """Try one file after the other; sends (number, its outcome, what was unexpected, seconds, megabytes)."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            name, data = damaged(files, seed, number)
            code, trouble, began = None, None, time.perf_counter()
            try:
                if kind == "clips":
                    path = Path(folder) / name
                    path.write_bytes(data)
                    code = try_clip(path).code
                else:
                    code = try_picture(data).code
            except Exception as error:
                trouble = f"{type(error).__name__}: {error}"
            megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
            results.send((number, code, trouble, time.perf_counter() - began, megabytes))


def run(kind: str, files: dict[str, bytes], count: int, seed: int, save: Path) -> dict[str, Any]:
    """Try `count` files; returns how many came to what, and the worst of time and memory."""
    codes: Counter[str] = Counter()
    failures: list[str] = []
    slowest = most = 0.0
    number, told = 0, time.monotonic()
    while number < count:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=work, args=(kind, files, seed, range(number, count), theirs), daemon=True)
        worker.start()
        theirs.close()
        patience = SECONDS + 60  # the first file waits for the imports
        try:
            while number < count:
                if ours.poll(patience):
                    _, code, trouble, seconds, megabytes = ours.recv()
                    slowest, most = max(slowest, seconds), max(most, megabytes)
                    if code and seconds > SECONDS:
                        trouble = f"took {seconds:.1f} s"
                    elif code and megabytes > MEGABYTES:
                        trouble = f"took {megabytes:.0f} MB"
                else:
                    code, trouble = None, f"hung for {patience:.0f} s"
                if code and not trouble:
                    codes[code] += 1
                else:
                    failures.append(keep(kind, files, seed, number, trouble or "failed", save))
                number, patience = number + 1, SECONDS
                if time.monotonic() - told > 10:
                    told = time.monotonic()
                    print(f"{kind} {number:,} of {count:,}, {len(failures)} unexpected", file=sys.stderr, flush=True)
                if trouble and trouble.startswith(("hung", "took")):
                    break  # with a fresh process, whose memory is small again
        except EOFError:
            worker.join()
            failures.append(keep(kind, files, seed, number, f"crashed ({worker.exitcode})", save))
            number += 1
        worker.kill()
        worker.join()
    return {
        "tried": count,
        "outcomes": dict(codes.most_common()),
        "slowest_seconds": round(slowest, 3),
        "most_megabytes": round(most),
        "unexpected": failures,
    }


def keep(kind: str, files: dict[str, bytes], seed: int, number: int, trouble: str, save: Path) -> str:
    """Save the file that made trouble; returns a line about it."""
    name, data = damaged(files, seed, number)
    save.mkdir(parents=True, exist_ok=True)
    path = save / f"{kind}-{seed}-{number}-{name}"
    path.write_bytes(data)
    line = f"{path}: {trouble}"
    print(line, file=sys.stderr, flush=True)
    return line


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000, help="how many damaged pictures (5000)")
    parser.add_argument("--clips", type=int, default=100, help="how many damaged clips (100)")
    parser.add_argument("--seed", type=int, default=1, help="other numbers give other files (1)")
    parser.add_argument("--save", type=Path, default=Path("build/fuzz"), help="folder for files that made trouble")
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = {"pictures": pictures(), "clips": clips(Path(folder))}
    report: dict[str, Any] = {"seed": args.seed}
    for kind, files in made.items():
        report[kind] = run(kind, files, getattr(args, kind), args.seed, args.save)
    report["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(report))
    return 1 if any(report[kind]["unexpected"] for kind in made) else 0


if __name__ == "__main__":
    sys.exit(main())
