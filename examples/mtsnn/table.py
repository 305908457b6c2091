"""Print the MT-SNN table from its result files.

python examples/mtsnn/table.py [RESULTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rows import ROWS

from speckflex.recordings.measures import paired_gain, wilson_interval

COLUMNS = (
    "training",
    "levels",
    "torch",
    "twin (95 %)",
    "calibrated: points won",
    "spikes of a layer",
    "SynOps",
    "CPU s",
)
# Rows that are compared on the same recordings: the second against the first.
PAIRS = (
    ("sdt", "mtsnn-7"),
    ("law", "mtsnn-7"),
    ("mtsnn-3", "mtsnn-7"),
    ("mtsnn-7", "mtsnn-15"),
    ("mtsnn-7-equal", "mtsnn-7"),
    ("mtsnn-7-5-frames", "mtsnn-7"),
    ("mtsnn-7-1-frame", "mtsnn-7"),
)


def main() -> None:
    """Print one line for each result file, and one for each pair of rows with the same seed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"
    results = {
        (found["row"], found["settings"]["seed"]): found
        for found in (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    }
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for row, seed in sorted(results, key=lambda key: (list(ROWS).index(key[0]), key[1])):
        print(line(row, results[row, seed]))
    print()
    for before, after in PAIRS:
        for seed in sorted({seed for _, seed in results}):
            if (before, seed) in results and (after, seed) in results:
                gain = won(results[before, seed], results[after, seed], "twin", "twin")
                print(f"- `{after}` against `{before}` on the twin: {gain}")


def line(row: str, result: dict[str, Any]) -> str:
    """Return a line of the table."""
    labels = np.array(result["labels"])
    shares = {name: np.array(p) == labels for name, p in result["predictions"].items()}
    low, high = wilson_interval(int(shares["twin"].sum()), len(labels))
    cells = (
        f"`{row}`",
        " ".join(map(str, result["levels"])) or "-",
        f"{shares['torch'].mean():.1%}",
        f"{shares['twin'].mean():.1%} ({low:.1%} to {high:.1%})",
        won(result, result, "twin", "calibrated"),
        ", ".join(f"{spikes:.0f}" for spikes in result["spikes"]["twin"]),
        f"{sum(result['synops']['twin']):.0f}",
        f"{result['training_cpu_seconds']:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def won(before: dict[str, Any], after: dict[str, Any], first: str, second: str) -> str:
    """Return what one set of answers wins over another, in points with its interval."""
    assert before["labels"] == after["labels"]  # noqa: S101 - the same recordings
    labels = np.array(before["labels"])
    answers = before["predictions"][first], after["predictions"][second]
    gain = paired_gain(*(np.array(one) == labels for one in answers))
    low, high = (100 * end for end in gain.interval)
    points = 100 * (gain.after - gain.before)
    return f"{points:+.1f} ({low:+.1f} to {high:+.1f}, p = {gain.p_value:.2g})"


if __name__ == "__main__":
    main()
