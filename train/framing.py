"""Measure how FER2013 frames its faces, so that serving can crop the same way.

    python -m train.framing --data DIR

Method: training faces (all, or `--limit` of them) are enlarged four times, each detector is run on them, and the box
of the largest face found is compared with the frame. Boxes under half the frame are false alarms on a mouth or an eye
and are left out. The medians go to `train/results/framing.json`, from where `train.export` takes them into the model's
config.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emotion_model.faces.detection import DetectorError, FaceDetector
from emotion_model.files import write_json
from train.config import explain
from train.data.fer2013 import load_split
from train.data.framing import BORDER, measure
from train.runs import RESULTS

RESULT = RESULTS / "framing.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.framing", description="Measure FER2013's framing of faces.")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--limit", type=int, help="use only this many faces (default: all)")
    parser.add_argument(
        "--out", type=Path, default=RESULT, help="where the JSON goes (default: train/results/framing.json)"
    )
    options = parser.parse_args(arguments)
    try:
        faces = load_split(options.data, "train")
        faces = faces if options.limit is None else faces.sample(options.limit)
        result = {name: measure(faces, FaceDetector(name)) for name in BORDER}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.out, result)
    except (DetectorError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
