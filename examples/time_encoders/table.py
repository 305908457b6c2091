"""Print the table of time encoders from the result files.

python examples/time_encoders/table.py [RESULTS]
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from rows import ROWS, TASKS

from speckflex.recordings.measures import paired_gain
from speckflex.training.recipes import find_recipe


def main() -> None:
    """Print a table for each task: a line for each row, the mean and the range of its seeds."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    results.sort(key=lambda found: (list(ROWS).index(found["row"]), found["settings"]["seed"]))
    for name, task in TASKS.items():
        of_task = [found for found in results if ROWS[found["row"]].task == name]
        t_max = task.changes.get("t_max", find_recipe(task.recipe).training.t_max)
        if of_task:
            print_task(t_max, task.later, of_task)
            print_pairs(name, of_task)


def print_task(t_max: int, later: tuple[int, ...], results: list[dict[str, Any]]) -> None:
    """Print the table of one task."""
    cases = [*(f"T={t_max},{t}" for t in later), "shuffled"]
    heads = [f"{t_max}, {t}" for t in later]
    columns = ("training", "seeds", *heads, "shuffled frames", "CPU s")
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for row, found in groupby(results, key=lambda result: result["row"]):
        seeds = list(found)
        shares = {
            case: [one["accuracy"][case] for one in seeds if case in one["accuracy"]]
            for case in cases
        }
        if ROWS[row].method == "rnn":
            shares[cases[0]] = [one["accuracy"][f"T={t_max}"] for one in seeds]
        seconds = np.mean([one["cpu_seconds"] for one in seeds])
        cells = (f"`{row}`", str(len(seeds)), *map(spelled, shares.values()), f"{seconds:.0f}")
        print(f"| {' | '.join(cells)} |")
    print()


def spelled(shares: list[float]) -> str:
    """Return mean and range of accuracies."""
    if not shares:
        return "-"
    mean = f"{np.mean(shares):.1%}"
    return mean if len(shares) == 1 else f"{mean} ({min(shares):.1%} to {max(shares):.1%})"


def print_pairs(task: str, results: list[dict[str, Any]]) -> None:
    """Print what MTT wins over SDT on the same recordings, all seeds together."""
    both = [
        {one["settings"]["seed"]: one for one in results if one["row"] == f"{task}-{method}"}
        for method in ("sdt", "mtt")
    ]
    seeds = sorted(set(both[0]) & set(both[1]))
    if not seeds:
        return
    for case in both[0][seeds[0]]["predictions"]:
        gain = paired_gain(*(right(found, seeds, case) for found in both))
        low, high = (100 * end for end in gain.interval)
        print(
            f"- MTT against SDT at {case.removeprefix('T=')}:"
            f" {100 * (gain.after - gain.before):+.1f} points ({low:+.1f} to {high:+.1f},"
            f" p = {gain.p_value:.2g})"
        )
    print()


def right(results: dict[int, dict[str, Any]], seeds: list[int], case: str) -> np.ndarray:
    """Return which answers are right, (recording of all seeds,) bool."""
    chosen = [results[seed] for seed in seeds]
    return np.concatenate([np.equal(one["predictions"][case], one["labels"]) for one in chosen])


if __name__ == "__main__":
    main()
