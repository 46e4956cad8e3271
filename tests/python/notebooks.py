#!/usr/bin/env python3
"""The original's own notebooks, cell by cell: once as they are, once with the import replaced. On demand, not in ctest:

    pip install torch torchvision segment-anything numpy opencv-python-headless matplotlib ipython pycocotools
    python tests/parity/calibrate.py vit_b MODEL.pth
    SAMC_LIBRARY_DIR=build/release PYTHONPATH=python:tests/parity python tests/python/notebooks.py \\
        --checkpoint MODEL.pth --images FOLDER NOTEBOOK.ipynb...

The notebooks are `notebooks/*_example.ipynb` of segment-anything's repository, FOLDER its `notebooks/images`. Three
things are put in their place: the module's name, the checkpoint with its kind (--kind), and the device. Lines of the
shell are left out. Every cell has to run on both sides; what it leaves in the names `masks`, `masks2`, `scores`,
`logits` and `batched_output` is compared: at most one pixel in 50,000 differs, numbers by 1e-4 of their deviation; of
the generator's records 98 % of the run lengths are equal, the others have an IoU of at least 0.99.
"""

import argparse
import contextlib
import io
import json
import os
import re
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

import parity  # noqa: E402  (same() and same_records() of the package's other comparison)

WATCHED = ("masks", "masks2", "scores", "logits", "batched_output")


def cells(notebook):
    for cell in json.loads(Path(notebook).read_text())["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def prepared(source, args, module):
    source = re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", source)
    source = re.sub(r'(?m)^sam_checkpoint = .*$', f"sam_checkpoint = {str(args.checkpoint.resolve())!r}", source)
    source = re.sub(r'(?m)^model_type = .*$', f"model_type = {args.kind!r}", source)
    source = re.sub(r'(?m)^device = .*$', 'device = "cpu"', source)
    return source.replace("segment_anything", module)


def run(notebook, args, module):
    """What each cell left in the watched names: [(cell, name, value)], and the seconds of its cells."""
    names, left, began = {"__name__": "notebook"}, [], time.process_time()
    for number, source in enumerate(cells(notebook)):
        before = {name: id(names.get(name)) for name in WATCHED}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(prepared(source, args, module), f"{Path(notebook).name}, cell {number}", "exec"), names)
        left += [(number, name, names[name]) for name in WATCHED if name in names and id(names[name]) != before[name]]
        names["plt"].close("all") if "plt" in names else None
    return left, time.process_time() - began


def compare(theirs, ours, report):
    if isinstance(theirs, list) and theirs and "segmentation" in theirs[0]:
        return parity.same_records("", theirs, ours)
    if isinstance(theirs, list):  # what a model called with a batch gives
        good = len(theirs) == len(ours) and all(a.keys() == b.keys() for a, b in zip(theirs, ours))
        for a, b in zip(theirs, ours):
            good &= parity.same("", tuple(a.values()), tuple(b.values()), report)
        return good, ""
    kind = theirs.dtype in (bool,) or str(theirs.dtype) == "torch.bool"
    if kind:
        nothing = np.zeros(1)
        return parity.same("", (theirs, nothing, nothing), (ours, nothing, nothing), report), ""
    return parity.same("", theirs, ours, report), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--kind", default="vit_b")
    parser.add_argument("--images", required=True, type=Path, help="notebooks/images of the original")
    parser.add_argument("notebooks", nargs="+", type=Path)
    args = parser.parse_args()
    args.notebooks = [notebook.resolve() for notebook in args.notebooks]
    if args.images.name != "images":
        sys.exit("notebooks.py: the notebooks open images/NAME: the folder has to have that name")
    os.chdir(args.images.resolve().parent)
    failed = 0
    for notebook in args.notebooks:
        theirs, slow = run(notebook, args, "segment_anything")
        ours, quick = run(notebook, args, "samc")
        print(f"{notebook.name}: {slow:.0f} s of processor time with segment_anything, {quick:.0f} s with samc")
        same_steps = [step[:2] for step in theirs] == [step[:2] for step in ours]
        failed += not same_steps or not theirs
        for (number, name, a), (_, _, b) in zip(theirs, ours):
            report = parity.Report()
            good, said = compare(a, b, report)
            good &= report.differ <= 2e-5 * max(report.pixels, 1)
            failed += not good
            said = (
                said or f"{report.differ} of {report.pixels} pixels differ, largest error {report.worst:.1e} deviations"
            )
            print(f"{'ok  ' if good else 'FAIL'} cell {number}, {name}: {said}", flush=True)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
