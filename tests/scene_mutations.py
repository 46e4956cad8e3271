#!/usr/bin/env python3
"""Mistakes that one could really make with tiles of a scene, seeded into the sources: each must turn the named test
red.

    scene_mutations.py --build build/release [--only WORDS]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import seeded

TILES, ENGINE = "scene_tiles_test", "scene_engine_test"
PLAN, MERGE, SPANS = "host/io/scene_plan.c", "host/io/scene_merge.c", "host/io/scene_spans.c"

# name: test, file, text, what takes its place
BUGS = {
    "a point on a border is two tiles'": (
        TILES,
        PLAN,
        "grid_at(t, *last) < (double)to;",
        "grid_at(t, *last) <= (double)to;",
    ),
    "windows at the edge hang over": (TILES, PLAN, "if (*at > side - *size) *at = side - *size;", ""),
    "neighbours with other windows go together": (TILES, PLAN, "next.cut != first.cut || ", ""),
    "the coarser wins": (
        TILES,
        MERGE,
        "compare_whole(a->level, b->level)) != 0)",
        "compare_whole(b->level, a->level)) != 0)",
    ),
    "ties go by tiles": (TILES, MERGE, "    return compare_whole(a->index, b->index);", "    return -1;"),
    "cells of one class alone": (
        TILES,
        MERGE,
        "for (int c = 0; c < CLASSES",
        "for (int c = class_of(r); c == class_of(r)",
    ),
    "boxes that differ are two objects'": (
        TILES,
        MERGE,
        "if (shared < most) most = shared;",
        "if (shared < 0.2 * all) return SAMC_OK;",
    ),
    "boxes of the class below are too small": (
        TILES,
        MERGE,
        "(double)((int64_t)2 << c);",
        "(double)((int64_t)1 << c);",
    ),
    "neighbouring cells are not looked at": (TILES, MERGE, "row <= row1", "row < row1"),
    "pieces suppress": (TILES, MERGE, "bool same = r->cut != 0;", "bool same = false;"),
    "a ring stays": (TILES, MERGE, "> least || better)", "> least || (false && better))"),
    "a run across columns is two": (TILES, SPANS, "if (i > 0 && from == end)", "if (i > 0 && from + 1 == end)"),
    "enlarged beyond the scene": (TILES, SPANS, "y1 < height ? y1 : height", "y1"),
    "pieces that agree a little": (TILES, "host/io/scene_stitch.c", "#define STRIP_IOU 0.5", "#define STRIP_IOU 0.1"),
    "pieces by one side's choice": (
        TILES,
        "host/io/scene_stitch.c",
        "best[i].other >= 0 && back[best[i].other].other == i",
        "best[i].other >= 0",
    ),
    "a window that holds its mask but at a cut side": (
        TILES,
        "host/io/scene_refine.c",
        "plan->tiling.halo / 2 > 24 ? plan->tiling.halo / 2 : 24;",
        "0;",
    ),
    "any finer outline is taken": (
        ENGINE,
        "host/io/scene_refine.c",
        " && mask->stability_score >= a->record.stability)",
        ")",
    ),
    "masks that a tile cuts": (
        ENGINE,
        "host/io/scene_engine.c",
        "e->pieces && window->level == 0 ? 0 : w->items[0].cut",
        "0",
    ),
    "nodata is asked": (
        ENGINE,
        "host/io/scene_engine.c",
        "valid[row * w->width + column] == 0) continue;",
        "false) continue;",
    ),
    "masks over nodata": (ENGINE, "host/io/scene_marks.c", "column[(end - w->y) * w->width] != 0", "true"),
}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--only", default="")
    options = ap.parse_args()
    build = seeded.Build(options.build)
    if not build.usable:
        print("the build is not one of Ninja's")
        return 77
    missed = []
    with tempfile.TemporaryDirectory(prefix="samc-scene-") as folder:
        for name, (test, file, old, new) in BUGS.items():
            if options.only not in name:
                continue
            source, text = seeded.ROOT / file, (seeded.ROOT / file).read_text()
            changed, made = Path(folder) / source.name, Path(folder) / "mutant.o"
            changed.write_text(text.replace(old, new))
            original = build.compile(test, source, made, text_from=changed, last=[f"-I{seeded.ROOT}"])
            program = build.link(test, Path(folder) / "mutant", {original: made})
            done = subprocess.run([program], capture_output=True, text=True, timeout=600, cwd=build.folder)
            print(f"{'caught' if done.returncode else 'MISSED'}  {name}", flush=True)
            if not done.returncode:
                missed.append(name)
    print(f"{len(missed)} missed" if missed else "all caught")
    return len(missed) > 0


if __name__ == "__main__":
    sys.exit(main())
