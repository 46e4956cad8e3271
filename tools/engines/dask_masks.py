#!/usr/bin/env python3
"""Dask: every mask of the images of a folder, a line of JSON each: dask_masks.py FOLDER OUT [--model FILE]."""

import argparse
import json
from pathlib import Path

import dask.bag

from samc.engines import Annotator


def masks_of(paths, annotator):
    """A part of the bag; each process opens the model once for it."""
    records = annotator.records((str(path), path.read_bytes()) for path in paths)
    return [json.dumps(record) for record in records]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out")
    parser.add_argument("--model")
    parser.add_argument("--points-per-side", type=int)
    arguments = parser.parse_args()
    annotator = Annotator(arguments.model, points_per_side=arguments.points_per_side)
    paths = sorted(path for path in arguments.folder.iterdir() if path.suffix in (".jpg", ".png"))
    bag = dask.bag.from_sequence(paths, partition_size=8)
    bag.map_partitions(masks_of, annotator).to_textfiles(arguments.out + "/*.jsonl")


if __name__ == "__main__":
    main()
