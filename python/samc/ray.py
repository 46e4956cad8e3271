"""Automatic masks in Ray Data:

    ds = ray.data.read_webdataset("shards/", decoder=None)
    ds = ds.map_batches(samc.ray.AutoMasks, fn_constructor_kwargs={"model": "sam_vit_b.pth"}, batch_size=16,
                        batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=8), num_gpus=1)
    ds.write_parquet("masks/")

Each actor opens the model once. A batch depends on nothing but itself, so that Ray does those of a worker that died
again on another, with the same results."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from .engines import Annotator, sa1b_of

COLUMNS = ("jpg", "jpeg", "png", "ppm", "bmp", "gif", "psd", "tga", "bytes", "image")
OUTPUTS = ("records", "webdataset")


def schema() -> Any:
    """Of the records: key, height, width, error (null where all is well) and masks, a list of structs."""
    import pyarrow as pa

    mask = pa.struct(
        [
            ("size", pa.list_(pa.int32())),
            ("counts", pa.string()),
            ("bbox", pa.list_(pa.int32())),
            ("area", pa.int64()),
            ("predicted_iou", pa.float64()),
            ("stability_score", pa.float64()),
            ("crop_box", pa.list_(pa.int32())),
            ("point", pa.list_(pa.float64())),
        ]
    )
    return pa.schema(
        [
            ("key", pa.string()),
            ("height", pa.int32()),
            ("width", pa.int32()),
            ("error", pa.string()),
            ("masks", pa.list_(mask)),
        ]
    )


class AutoMasks:
    """A callable class for Dataset.map_batches() with batch_format="pyarrow": tables of encoded images in, tables of
    their masks out, a row for each image.

    model        what samc.load() takes, a path that each worker has; None: the model that comes with samc
    key          the column that names an image; where there is none, its number in the batch does
    images       columns of encoded images; the first that holds something in a row is taken
    output       "records": key, height, width, error, masks (schema()), for write_parquet(); "webdataset": __key__ and
                 json, SA-1B's, for write_webdataset()
    copy_images  webdataset: with the column that the image came from
    options      SamAutomaticMaskGenerator's, and Annotator's device, precision, threads, batch_size

    An image that cannot be decoded has an error and no masks; a row without an image is left out.
    """

    def __init__(
        self,
        model: Optional[str] = None,
        *,
        key: str = "__key__",
        images: Sequence[str] = COLUMNS,
        output: str = "records",
        copy_images: bool = False,
        **options: Any,
    ) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, not {output!r}")
        self.key, self.images, self.output, self.copy_images = key, tuple(images), output, copy_images
        self.annotator = Annotator(model, **options)
        self.annotator.session()  # what is wrong with the model is told before any data

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        table = batch if isinstance(batch, pa.Table) else pa.table(dict(batch))
        columns = [(name, table.column(name)) for name in self.images if name in table.column_names]
        if not columns:
            raise KeyError(f"none of the columns {', '.join(self.images)} is there: {', '.join(table.column_names)}")
        keys = table.column(self.key).to_pylist() if self.key in table.column_names else range(table.num_rows)
        samples: List[Tuple[str, str, bytes]] = []  # key, column, bytes
        for row, key in enumerate(keys):
            for name, column in columns:
                data = column[row].as_py()
                if isinstance(data, bytes):  # where rows differ in their columns, what is missing is null or NaN
                    samples.append((str(key), name, data))
                    break
        records = list(self.annotator.records((key, data) for key, _, data in samples))
        if self.output == "records":
            return pa.Table.from_pylist(records, schema=schema())
        rows: List[Dict[str, Any]] = []
        for (key, name, data), record in zip(samples, records):
            copied = {name: data} if self.copy_images else {}
            rows.append({"__key__": key, **copied, "json": sa1b_of(record, f"{key.rsplit('/', 1)[-1]}.{name}")})
        names = ["__key__", *([name for name, _ in columns] if self.copy_images else ()), "json"]
        kinds = {"__key__": pa.string()}
        return pa.Table.from_pylist(rows, schema=pa.schema([(name, kinds.get(name, pa.binary())) for name in names]))
