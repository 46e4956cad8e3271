#!/usr/bin/env python3
"""What the Python package adds to the library: processor time of a click and of automatic masks, beside that of the
library's own calls within them, in one process and on one thread, so that other work on the machine is not in it.

    SAMC_LIBRARY_DIR=build/release PYTHONPATH=python python bench/python_overhead.py [--model MODEL] [--image IMAGE]

Of automatic masks all that Python does in the callback counts as the package's, the calls of the library that give it
run lengths or bytes included.
"""

import argparse
import time
from collections import Counter

import numpy as np

import samc
from samc import _native

spent = Counter()  # seconds of processor time in each call of the library


def count(name):
    call = getattr(_native.lib, name)

    def counted(*arguments):
        start = time.process_time()
        try:
            return call(*arguments)
        finally:
            spent[name] += time.process_time() - start

    setattr(_native.lib, name, counted)


def report(what, work, repetitions):
    """Prints the repetition in the middle by what the package adds."""
    rows = []
    for _ in range(repetitions):
        spent.clear()
        start = time.process_time()
        work()
        total = time.process_time() - start
        rows.append((total - sum(spent.values()), total))
    added, total = sorted(rows)[len(rows) // 2]
    print(f"{what}: {1e3 * total:.2f} ms, of which the package {1e3 * added:.3f} ms, {100 * added / total:.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: the one that comes with samc")
    parser.add_argument("--image", default="tools/examples/cat.jpg")
    parser.add_argument("--points-per-side", type=int, default=32)
    args = parser.parse_args()
    model, image = samc.load(args.model, threads=1), samc.read_image(args.image)
    predictor = samc.SamPredictor(model)
    point, label = np.array([[image.shape[1] / 2, image.shape[0] / 2]]), np.array([1])

    def in_callback(take):
        """The generator's callback runs within samc_auto(): its time is taken out of that."""

        def timed(*arguments):
            start = time.process_time()
            take(*arguments)
            spent["samc_auto"] -= time.process_time() - start

        return timed

    inner = samc.Session.auto_raw
    samc.Session.auto_raw = lambda self, images, options, take: inner(self, images, options, in_callback(take))
    count("samc_auto")
    loose = dict(pred_iou_thresh=0.25, stability_score_thresh=0.5, box_nms_thresh=0.85)
    for mode in ("coco_rle", "binary_mask"):
        make = samc.SamAutomaticMaskGenerator
        generator = make(model, points_per_side=args.points_per_side, output_mode=mode, **loose)
        report(f"generate(), {mode}", lambda: generator.generate(image), 1)
    for name in "samc_set_image samc_predict samc_result_mask samc_mask_bytes".split():
        count(name)
    report("set_image()", lambda: predictor.set_image(image), 5)
    report("predict(), one click", lambda: predictor.predict(point, label), 50)


if __name__ == "__main__":
    main()
