#!/usr/bin/env python3
"""The forecast of bench/forecast from outside: forecast_test.py PROGRAM MODEL."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM, MODEL = sys.argv[1:3]


class Forecast(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = lambda name: os.path.join(folder.name, name)

    def run_with(self, code, *arguments):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def good(self, *arguments):
        done = self.run_with(0, *arguments)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def failure(self, why, *arguments):
        self.assertIn(why, self.run_with(1, *arguments).stderr)

    def usage(self, why, *arguments):
        self.assertIn(why, self.run_with(2, *arguments).stderr)

    def forecast(self, *arguments):
        return json.loads(self.good(*arguments, "--json"))

    def test_prediction(self):
        out = self.good("h100", "--model", "vit_h")
        lines = out.splitlines()
        self.assertTrue(lines[0].startswith("prediction, never measured: vit_h on H100"), lines[0])
        self.assertTrue(
            any("images/s   aim 80" in line for line in lines) and any("aim 25 ms" in line for line in lines), out
        )
        large, base, old, tiny = (
            self.forecast("h100"),
            self.forecast("h100", "--model", "vit_b"),
            self.forecast("a100", "--model", "vit_b"),
            self.forecast("h100", "--model", MODEL),
        )
        self.assertEqual(
            (large["what"], large["model"], base["aims_on_h100"]["images_per_second_together"]),
            ("prediction, never measured", "vit_h", 500),
        )
        self.assertNotIn("aims_on_h100", tiny)
        self.assertEqual([e["batch"] for e in large["encoder"]], [1, 2, 4, 8])
        speeds = [e["images_per_second"] for e in large["encoder"]]
        self.assertEqual(speeds, sorted(speeds))
        times = [p["encoder"][0]["ms_per_image"] for p in (large, old, base, tiny)]
        self.assertEqual(times, sorted(times, reverse=True))
        rows = [row for part in large["operators"].values() for row in part]
        self.assertAlmostEqual(
            sum(row["predicted_ms"] for row in rows) + large["upload_ms"] + large["waits_ms"],
            large["automatic_alone_ms"],
            places=6,
        )
        self.assertLess(large["automatic_ms"], large["automatic_alone_ms"])
        self.assertTrue(all(row["predicted_ms"] > 0 and row["megabytes"] > 0 for row in rows))

    def test_prediction_against_a_recorded_run(self):
        def record(**changes):
            case = {
                "op": "linear",
                "case": "linear (cuBLASLt, m k n in out) = 4096 1280 5120 2 2",
                "status": "ok",
                "warm_us": 100.0,
                "bytes": 0,
                "flops": 69.23e9,
            }
            window = {
                "op": "attention_relpos",
                "case": "attention_relpos (images heads hd grid window bias type) = 1 16 80 64 14 1 2",
                "status": "ok",
                "warm_us": 10.0,
                "bytes": 2.68e6,
                "flops": 0,
                "launches": [{"kernel": "attention_window", "warm_us": 10.0}],
            }
            failed = {"op": "nms", "case": "nms (count kind) = 9 1", "status": "failed", "warm_us": 1.0}
            with open(self.path("results.json"), "w") as file:
                json.dump(
                    {"samc_gpu_check": 1, "rehearsal": False, "times": [case, case, window, failed], **changes}, file
                )
            return self.path("results.json")

        rows = self.forecast("h100", "--recorded", record())["recorded"]
        self.assertEqual(set(rows), {"linear, cuBLASLt", "attention_relpos, window"})
        self.assertEqual((rows["linear, cuBLASLt"]["cases"], rows["linear, cuBLASLt"]["measured_us"]), (2, 200))
        self.assertAlmostEqual(rows["linear, cuBLASLt"]["error_percent"], 69.23e3 / (989 * 0.70) + 2.5 - 100, places=3)
        self.assertAlmostEqual(rows["attention_relpos, window"]["predicted_us"], 1 + 2.5, places=3)
        out = self.good("h100", "--recorded", record())
        self.assertIn("against the recorded run", out)
        other = record(device={"name": "NVIDIA H200"})
        self.failure("recorded on NVIDIA H200, not on H100", "h100", "--recorded", other)
        self.assertEqual(
            self.forecast("h200", "--recorded", record(device={"name": "NVIDIA H200"}))["recorded"].keys(), rows.keys()
        )
        self.failure("rehearsal", "h100", "--recorded", record(rehearsal=True))
        self.failure("not a results.json", "h100", "--recorded", record(samc_gpu_check=2))
        self.failure("none.json", "h100", "--recorded", self.path("none.json"))

    def test_prediction_refuses(self):
        self.usage("one GPU is expected", "v100")
        self.usage("one GPU is expected")
        self.usage("no such option", "h100", "--stage", "encoder")
        self.failure("vit_x", "h100", "--model", "vit_x")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
