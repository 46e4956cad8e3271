#!/usr/bin/env python3
"""Ray Data on this machine, for real: samc.ray.AutoMasks on two actors over a WebDataset, one of which is killed in the
middle of a batch; what comes out, as Parquet and as a WebDataset, is what one process gives.

    SAMC_LIBRARY_DIR=build/release PYTHONPATH=python PYTHON tests/ray_test.py

PYTHON has NumPy and ray[data] (2.60: 640 MB, which is why CI does not run this).
"""

import json
import os
import signal
import sys
import tarfile
import tempfile
import time

os.environ.update(RAY_AUTH_MODE="disabled", RAY_DATA_DISABLE_PROGRESS_BARS="1", RAY_USAGE_STATS_ENABLED="0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import pyarrow.parquet
import ray

from archive_case import TINY, pack, picture
from samc.engines import Annotator, sa1b_of
from samc.ray import AutoMasks, schema

OPTIONS = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "threads": 1}


class Mortal(AutoMasks):
    """Dies in its third batch, once in the whole run."""

    def __init__(self, marker, **options):
        super().__init__(TINY, **OPTIONS, **options)
        self.marker, self.batches = marker, 0

    def __call__(self, batch):
        self.batches += 1
        result = super().__call__(batch)
        time.sleep(0.05)  # so that both actors get batches
        if self.batches == 3:
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return result
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def main():
    with tempfile.TemporaryDirectory() as folder:
        samples = []
        for shard in range(4):
            members = []
            for i in range(20 * shard, 20 * shard + 20):
                ending, data = picture(i)
                data = b"no picture" if i == 33 else data
                members += [(f"{i:06}.{ending}", data), (f"{i:06}.txt", b"a caption")]
                samples.append((f"{i:06}", ending, data))
            pack(f"{folder}/in/{shard:05}.tar", members)
        annotator = Annotator(TINY, **OPTIONS)
        expected = list(annotator.records((key, data) for key, _, data in samples))
        annotator.close()
        assert sum(len(record["masks"]) for record in expected) > 100
        assert [record["key"] for record in expected if record["error"]] == ["000033"]

        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
        killed = {}
        for output, arguments in (("records", {}), ("webdataset", {"copy_images": True})):
            marker = f"{folder}/killed-{output}"
            data = ray.data.read_webdataset(f"{folder}/in", decoder=None).map_batches(
                Mortal,
                fn_constructor_kwargs={"marker": marker, "output": output, **arguments},
                batch_size=5,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=2),
                num_cpus=1,
            )
            if output == "records":
                data.write_parquet(f"{folder}/masks")
            else:
                data.write_webdataset(f"{folder}/out", encoder=None)
            killed[output] = os.path.exists(marker)
        ray.shutdown()
        assert all(killed.values()), killed

        table = pyarrow.parquet.read_table(f"{folder}/masks").sort_by("key")
        assert table.schema.names == schema().names, table.schema
        assert table.to_pylist() == expected, "the Parquet is another than one process gives"
        found = {}
        for name in os.listdir(f"{folder}/out"):
            with tarfile.open(f"{folder}/out/{name}") as tar:
                for entry in tar:
                    assert entry.name not in found, f"{entry.name} is there twice"
                    found[entry.name] = tar.extractfile(entry).read()
        wanted = {f"{key}.{ending}": data for key, ending, data in samples}
        for (key, ending, _), record in zip(samples, expected):
            wanted[f"{key}.json"] = sa1b_of(record, f"{key}.{ending}")
        assert found == wanted, "the WebDataset is another than one process gives"
        masks = sum(len(record["masks"]) for record in expected)
        print(json.dumps({"images": len(expected), "masks": masks, "actors": 2, "killed": killed}))


if __name__ == "__main__":
    sys.exit(main())
