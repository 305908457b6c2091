"""Print the tables of `run.py`: accuracy over T, and how much is lost on the way to T = 2.

python examples/time_stepped/table.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# Two-sided 95 % of the normal distribution, and of Student's t by degrees of freedom.
NORMAL = 1.96
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def main(folder: Path) -> None:
    """Print a row for each kind of training, means over the seeds."""
    results: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*-*.json")):
        result = json.loads(path.read_text())
        results.setdefault(result["row"], []).append(result)
    if not results:
        sys.exit(f"{folder}: holds no result of run.py")
    print(table(results))
    beside = comparison(results)
    if beside:
        print(f"\n{beside}")


def comparison(results: dict[str, list[dict[str, Any]]]) -> str:
    """Return how much less than `sdt` rows of drawn time steps lose; "" without seeds of both."""
    losses = {row: {r["seed"]: lost_images(r) for r in runs} for row, runs in results.items()}
    sdt, lines = losses.get("sdt", {}), []
    for row, lost in losses.items():
        seeds = sorted(lost.keys() & sdt.keys())
        if row.startswith("sdt") or len(seeds) < 2:
            continue
        less = np.array([sdt[seed] - lost[seed] for seed in seeds])
        images = less.mean(axis=0)
        half = NORMAL * images.std(ddof=1) / np.sqrt(len(images))
        mean = images.mean()
        over_images = f"{mean:.1f} (95 %: {mean - half:.1f} to {mean + half:.1f})"
        lines.append(f"| {row} | {over_images} | {interval(less.mean(axis=1))} | {len(seeds)} |")
    head = "| loses less than sdt with the same seed | over images | over seeds | seeds |"
    return "\n".join([head, "|---" * 4 + "|", *lines]) if lines else ""


def lost_images(result: dict[str, Any]) -> np.ndarray:
    """Return (image,) floats: 100 where T = 6 is right and T = 2 is not, -100 the other way."""
    labels = np.array(result["labels"])
    right = {t: np.array(result["predictions"][t]) == labels for t in ("6", "2")}
    return 100.0 * right["6"] - 100.0 * right["2"]


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """Return the table as Markdown."""
    steps = sorted({int(t) for rows in results.values() for r in rows for t in r["accuracy"]})
    head = [
        "training",
        *(f"T = {t}" for t in steps),
        "lost from T = 6 to 2",
        "seeds",
        "minutes",
    ]  # of the CPU, on a GPU of the clock
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row, seeds in results.items():
        found = np.array([[100 * r["accuracy"][str(t)] for t in steps] for r in seeds])
        lost = found[:, steps.index(6)] - found[:, steps.index(2)]
        minutes = np.mean([r.get("cpu_seconds", r["seconds"]) for r in seeds]) / 60
        cells = [*(f"{mean:.1f}" for mean in found.mean(axis=0)), interval(lost)]
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {len(seeds)} | {minutes:.1f} |")
    return "\n".join(lines)


def interval(values: np.ndarray) -> str:
    """Return the mean and its 95 % interval over the seeds."""
    if len(values) < 2:
        return f"{values.mean():.1f}"
    half = STUDENT[len(values) - 1] * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.1f} (95 %: {values.mean() - half:.1f} to {values.mean() + half:.1f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
