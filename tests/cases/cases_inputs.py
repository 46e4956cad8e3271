"""What goes into samc auto: numbers, odd sizes, links, archives of other kinds, outages, memory."""
import json
import os

from archive_case import OPTIONS, TINY, Archive, picture, ppm, put
from cli_test import PHOTO, read, run


class Numbers(Archive):
    def test_out_of_range_is_wrong_usage_that_names_the_range(self):
        ranges = {"points-per-side": "1 to 1024", "points-per-batch": "1 to 4096", "pred-iou-thresh": "0 to 1", "stability-score-thresh": "0 to 1",
                  "stability-score-offset": "0 to 1000000", "box-nms-thresh": "0 to 1", "crop-n-layers": "0 to 6", "crop-nms-thresh": "0 to 1",
                  "crop-overlap-ratio": "0 to 0.999", "crop-n-points-downscale-factor": "1 to 1024", "min-mask-region-area": "0 to 999999999",
                  "lines-per-file": "1 to 999999999", "max-pixels": "1 to 178956970", "batch-images": "1 to 256", "load-threads": "1 to 64",
                  "write-threads": "1 to 64", "queue": "1 to 10000", "threads": "1 to 256"}
        for name, bounds in ranges.items():
            for value in ("536870912" if name not in ("lines-per-file", "min-mask-region-area") else "4294967297", "-1", "99999999999999999999", "nan", "1e400", "0x1", "much"):
                self.usage(f"--{name} is a ", "auto", PHOTO, "-o", self.at("o"), f"--{name}={value}")
                self.usage(bounds, "auto", PHOTO, "-o", self.at("o"), f"--{name}={value}")
        for value in ("536870912", "0", "-1", "x"):
            self.usage("--runs is a whole number from 1 to ", "bench", f"--runs={value}")
            self.usage("--threads is a whole number from 1 to 256", "segment", PHOTO, "-o", self.at("o"), "--point", "1,1", f"--threads={value}")
        self.usage("--shard is I/N with N from 1 to 100000", "auto", PHOTO, "-o", self.at("o"), "--shard", "0/536870912")
        self.assertEqual(os.listdir(self.folder), [])


class OddSizes(Archive):
    def test_crops_of_small_and_narrow_images(self):
        for width, height in ((1, 1), (40, 30), (3, 400), (300, 1)):
            put(self.at("in", f"{width}x{height}.ppm"), ppm(width, height, self.dice.randbytes(3 * width * height)))
        lines, _ = self.auto(self.at("in"), "-o", self.at("o"), "--format", "rle,coco", "--crop-n-layers", "2", "--min-mask-region-area", "2")
        self.assertEqual(len(lines), 4)
        self.assertTrue(all(line["masks"] > 0 for line in lines), lines)
