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

import cv2
import numpy as np

from emotion_model.faces.cropping import Framing
from emotion_model.faces.detection import DetectorError, FaceDetector
from train.config import write_json
from train.data.fer2013 import DataError, FaceDataset, load_split

RESULT = Path(__file__).parent / "results" / "framing.json"
ENLARGED_SIDE = 192  # pixels
# Border around the enlarged face, its edge pixels repeated, as a share of its side. YuNet is steadiest without (over
# 1,200 faces the quartiles of the box height lay 8 % apart without and 24 % with half a side of it); the cascade
# searches squares inside the picture and would miss tight faces.
BORDER = {"yunet": 0.0, "haar": 0.5}


def measure(faces: FaceDataset, detector: FaceDetector) -> dict[str, object]:
    """Crop geometry for one detector and the statistics behind it; distances are in box heights.

    Raises:
        DataError: no face is found.
    """
    border = round(BORDER[detector.name] * ENLARGED_SIDE)
    rows = []
    for face in faces.images:
        large = cv2.resize(face, (ENLARGED_SIDE, ENLARGED_SIDE), interpolation=cv2.INTER_CUBIC)
        large = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
        found = detector.detect(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB))
        if found and found[0].box[3] >= ENLARGED_SIDE / 2:
            x, y, width, height = found[0].box
            middle = border + ENLARGED_SIDE / 2
            dx, dy = (middle - x - width / 2) / height, (middle - y - height / 2) / height
            rows.append((ENLARGED_SIDE / height, dx, dy))
    if not rows:
        raise DataError(f"{detector.name} found no face in {len(faces)} pictures: its framing cannot be measured")
    side, dx, dy = (round(float(value), 4) for value in np.median(rows, axis=0))
    low, high = np.percentile([row[0] for row in rows], [25, 75])
    return {
        "framing": vars(Framing(side, dx, dy)),
        "split": "train",
        "faces": len(faces),
        "found": round(len(rows) / len(faces), 4),
        "side_quartiles": [round(float(low), 4), round(float(high), 4)],
        "smallest_box_height_kept": 0.5,
        "border": BORDER[detector.name],
        "enlarged_side": ENLARGED_SIDE,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.framing", description="Measure FER2013's framing of faces.")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--limit", type=int, help="use only this many faces")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the JSON goes")
    options = parser.parse_args(arguments)
    try:
        faces = load_split(options.data, "train")
        faces = faces if options.limit is None else faces.sample(options.limit)
        result = {name: measure(faces, FaceDetector(name)) for name in BORDER}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.out, result)
    except (DataError, DetectorError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
