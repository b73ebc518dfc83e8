"""Draws the time of each step against the number of migrations, on log axes.

    python picture.py PICTURE.svg < RESULTS.json

It runs on the peers' Python, which has matplotlib.
"""

import json
import sys
from collections import defaultdict

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

OURS = "this project"
STEPS = ("fresh up", "no-op up", "one more", "down one")


def main(picture: str) -> None:
    lines = defaultdict(list)
    for row in json.load(sys.stdin)["measurements"]:
        step, _, size = row["case"].partition(", ")
        if row["quantity"] == "migrations, ms" and size:
            lines[step, row["tool"]].append((int(size), row["median"]))
    sizes = sorted({size for points in lines.values() for size, _ in points})
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9}
    figure, panels = plt.subplots(1, len(STEPS), figsize=(11, 3.4), sharey=True)
    for step, panel in zip(STEPS, panels, strict=True):
        for (of, tool), points in lines.items():
            if of == step:
                style = {"linewidth": 2.5, "zorder": 3} if tool == OURS else {"linewidth": 1.2}
                panel.loglog(*zip(*points, strict=True), label=tool, marker=".", **style)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.minorticks_off()
        panel.set_title(step)
        panel.set_xlabel("migrations")
        panel.grid(which="major", alpha=0.3)
    panels[0].set_ylabel("milliseconds, wall clock")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="lower center", ncols=6, frameon=False
    )
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
