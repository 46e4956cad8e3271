"""Masks for the supervision package."""

from __future__ import annotations

from typing import Any

import numpy as np


def detections_of(masks: Any) -> Any:
    import supervision

    if not masks:
        return supervision.Detections.empty()
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in (mask.bbox for mask in masks)], np.float32)
    compact: Any = getattr(supervision, "CompactMask", None)
    arrays: Any
    if hasattr(compact, "from_coco_rle"):
        arrays = compact.from_coco_rle(masks.rles(), corners, masks[0].size)
    else:
        arrays = masks.arrays()
    return supervision.Detections(
        xyxy=corners,
        mask=arrays,
        confidence=np.array([mask.predicted_iou for mask in masks], np.float32),
        data={"stability_score": np.array([mask.stability_score for mask in masks], np.float32)},
    )
