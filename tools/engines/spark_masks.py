#!/usr/bin/env python3
"""Spark: every mask of the images of a folder as Parquet: spark_masks.py FOLDER OUT [--model FILE]. Needs pyspark,
pandas, pyarrow and Java 17."""

import argparse

from pyspark.sql import SparkSession

from samc.engines import Annotator

MASK = "struct<size:array<int>,counts:string,bbox:array<int>,area:long,predicted_iou:double,stability_score:double,"
MASK += "crop_box:array<int>,point:array<double>>"
SCHEMA = f"key string, height int, width int, error string, masks array<{MASK}>"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--model")
    parser.add_argument("--points-per-side", type=int)
    arguments = parser.parse_args()
    annotator = Annotator(arguments.model, points_per_side=arguments.points_per_side)

    def masks_of(frames):
        import pandas

        for frame in frames:
            yield pandas.DataFrame(list(annotator.records(zip(frame["path"], frame["content"]))))

    spark = SparkSession.builder.getOrCreate()
    files = spark.read.format("binaryFile").load(arguments.folder)
    files.mapInPandas(masks_of, SCHEMA).write.parquet(arguments.out)
    spark.stop()


if __name__ == "__main__":
    main()
