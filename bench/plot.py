"""Draws what peers.py wrote: one panel a stage, one bar a peer, the ratio to samc at its end.

plot.py bench/results/peers.json bench/results/peers.png
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(source, target):
    with open(source) as file:
        panels = json.load(file)
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 1.7 * len(panels)), squeeze=False)
    for axis, panel in zip(axes[:, 0], panels):
        rows = panel["rows"]
        bars = axis.barh(
            [r["name"] for r in rows],
            [r["median_ms"] for r in rows],
            color=["#1e90ff" if r["name"] == "samc" else "#b8c4d0" for r in rows],
        )
        axis.bar_label(
            bars,
            [f" {r['median_ms']:,.1f} ms" + ("" if r["name"] == "samc" else f", {r['ratio']:.1f}x") for r in rows],
            fontsize=8,
        )
        axis.invert_yaxis()
        axis.set_title(panel["title"], fontsize=9, loc="left")
        axis.margins(x=0.2)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:3])
