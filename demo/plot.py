#!/usr/bin/env python3
"""Draw the loss curves of the training logs: plot.py MODEL.csv DRAFT.csv --out loss.png"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

KINDS = ["story", "story_chat", "facts", "arithmetic", "json", "repeat"]


def read(path):
    """{column: list of floats}; what a run did not measure is NaN"""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: [float(row[key] or "nan") for row in rows] for key in rows[0]}


def draw(axes, log, title):
    millions = [n / 1e6 for n in log["tokens"]]
    axes.plot(millions, log["train"], color="black", linewidth=2, label="training text")
    for kind in KINDS:
        axes.plot(millions, log[kind], linewidth=1, label=f"held-out {kind.replace('_', ' ')}")
    axes.set(title=title, xlabel="million tokens", yscale="log")
    axes.grid(True, which="both", alpha=0.3)


def main():
    parser = argparse.ArgumentParser(description="Draw the loss curves.")
    parser.add_argument("logs", nargs=2, type=Path, metavar="CSV")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, path, title in zip(axes, args.logs, ("demo model", "draft model")):
        draw(axis, read(path), title)
    axes[0].set_ylabel("loss (nats per token)")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(args.out, dpi=90)


if __name__ == "__main__":
    main()
