"""Print the tables of the files that run.py wrote.

python examples/early_exit/table.py examples/early_exit/results
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NAMES = {"time": "fixed time", "margin": "margin", "posterior": "posterior"}


def main(folder: Path) -> None:
    """Print a table of the rules, and one of the tuned programs."""
    if (folder / "exits.json").exists():
        print_exits(json.loads((folder / "exits.json").read_text())["early_exit"])
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("tuning-*.json"))]
    if found:
        print()
        print_tunings(found)


def print_exits(study: dict[str, Any]) -> None:
    """Print each rule on the samples that did not choose its setting."""
    print("| rule | setting | right | mean time | p95 | SynOps | points over the fixed time |")
    print("|---|---|---|---|---|---|---|")
    for choice in study["choices"]:
        rule, point = choice["rule"], choice["judged"]
        unit = {"time": " µs", "margin": " spikes"}.get(rule, "")
        gain = choice["over_time"]
        over = gain_words(gain) if gain else ""
        print(f"| {NAMES[rule]} | {point['setting']:g}{unit} | {cells(point)} | {over} |")
        if choice["same_time"]:
            print(f"| fixed time, same mean |  | {cells(choice['same_time'])} |  |")
    print(f"| to the end (all {study['samples']}) |  | {cells(study['to_the_end'])} |  |")


def cells(point: dict[str, Any]) -> str:
    """Return accuracy, times and operations of a point."""
    times = (point["mean_time"] / 1000, point["p95_time"] / 1000)
    synops = "-" if point["synops"] is None else f"{point['synops'] / 1e6:.2f} M"
    return f"{point['accuracy']:.1%} | {times[0]:.1f} ms | {times[1]:.1f} ms | {synops}"


def print_tunings(tunings: list[dict[str, Any]]) -> None:
    """Print each tuned program on the samples that did not choose it."""
    print("| by | budget | scales | busiest core, M SynOps/s | accuracy | points | tried |")
    print("|---|---|---|---|---|---|---|")
    for one in tunings:
        scales = " ".join(f"{layer['scale']:g}" for layer in one["layers"][:-1])
        before, after = (value / 1e6 for value in one["busiest"])
        gain = one["gain"]
        shares = f"{gain['before']:.1%} -> {gain['after']:.1%}"
        load = f"{before:.2f} -> {after:.2f} ({after / before:.2f})"
        words = f"{scales} | {load} | {shares} | {gain_words(gain)} | {one['tried']}"
        print(f"| {one['space']} | {one['budget']:g} | {words} |")


def gain_words(gain: dict[str, Any]) -> str:
    """Return points won, their 95 % interval for pairs and McNemar's p."""
    low, high = (100 * end for end in gain["interval"])
    won = 100 * (gain["after"] - gain["before"])
    return f"{won:+.1f} ({low:+.1f} to {high:+.1f}, p = {gain['p_value']:.2g})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
