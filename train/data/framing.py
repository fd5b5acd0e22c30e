"""Where a detector's boxes lie in FER2013's pictures."""

from __future__ import annotations

import cv2
import numpy as np

from emotion_model.faces.cropping import Framing
from emotion_model.faces.detection import FaceDetector
from train.data.fer2013 import DataError, FaceDataset

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
        found = detector.detect(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB), turn=0)  # they are upright
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
