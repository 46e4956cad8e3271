"""Outlines of masks along the edges of their pixels."""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np


def polygons_of_mask(mask: np.ndarray, holes: bool = False) -> List[np.ndarray]:
    """The borders of a bool [height, width] mask as closed rings, float64 [n, 2] corners (x, y), in the order of their
    first pixel. The mask is on the right hand of a ring as one walks it with y down: outer rings are clockwise on the
    screen, those of holes counter-clockwise. Pixels that touch at a corner alone are in different rings."""
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.int8)
    padded[1:-1, 1:-1] = mask
    # Runs of edges between two rows, or two columns, with the mask on one side: their ends are the corners.
    following: Dict[Tuple[int, int, int], Tuple[int, int]] = {}
    across = padded[1:, 1:-1] - padded[:-1, 1:-1]  # [height + 1, width]: 1 a top edge, -1 a bottom edge
    along = padded[1:-1, 1:] - padded[1:-1, :-1]  # [height, width + 1]: 1 a left edge, -1 a right edge
    starts: List[Tuple[int, int]] = []
    for y, x in np.argwhere(across == 1).tolist():  # top edges go right
        following[(x, y, 0)] = (x + 1, y)
        starts.append((x, y))
    for y, x in np.argwhere(across == -1).tolist():  # bottom edges go left
        following[(x + 1, y, 2)] = (x, y)
    for y, x in np.argwhere(along == 1).tolist():  # left edges go up
        following[(x, y + 1, 3)] = (x, y)
    for y, x in np.argwhere(along == -1).tolist():  # right edges go down
        following[(x, y, 1)] = (x, y + 1)
    rings: List[np.ndarray] = []
    for x, y in starts:
        if (x, y, 0) not in following:
            continue
        corners: List[Tuple[int, int]] = []
        first, edge = (x, y, 0), (x, y, 0)
        while True:
            at, heading = following.pop(edge), edge[2]
            # At a corner that two pixels share the ring turns to the right, back around its own pixel.
            for turn in (1, 0, 3):
                edge = (at[0], at[1], (heading + turn) % 4)
                if edge == first or edge in following:
                    break
            if turn != 0:
                corners.append(at)
            if edge == first:
                break
        ring = np.array(corners, np.float64)
        if holes or _signed_area(ring) > 0:
            rings.append(ring)
    return rings


def _signed_area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
