"""Run every row of the N-MNIST table that has no result yet, and print the table.

python examples/nmnist/run_table.py --data NMNIST --synthetic SYNTHETIC --work WORK
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from experiment import TEST_BINS, read_options

FOLDER = Path(__file__).parent
KINDS = ("paper", "single", "scratch", "long", "deep")
METHODS = ("sdt", "nmt", "mtt")
ROWS = (*(f"{kind}_{method}" for kind in KINDS for method in METHODS), "best_sdt", "best_mtt")


def main() -> None:
    """Run the rows' scripts one after another with the same command line."""
    options = read_options()
    for row in ROWS:
        missing = [s for s in options.seeds if not _result_path(options.out, row, s).exists()]
        if missing:
            command = [sys.executable, FOLDER / f"{row}.py", *sys.argv[1:]]
            subprocess.run(command, check=True)  # noqa: S603 - our own scripts
    print("\n".join(table(options.out, options.seeds)))


def table(folder: Path, seeds: list[int]) -> list[str]:
    """Return the lines of the table in Markdown: mean and standard deviation in per cent."""
    bins = [f"T={n}" for n in TEST_BINS]
    lines = [
        "| row | seeds | " + " | ".join(bins) + " | twin | twin - torch T=10 | SD(torch, twin) |",
        "|---" * (len(bins) + 5) + "|",
    ]
    for row in ROWS:
        paths = [_result_path(folder, row, seed) for seed in seeds]
        results = [json.loads(path.read_text()) for path in paths if path.exists()]
        if results:
            lines.append(_line(row, results))
    return lines


def _line(row: str, results: list[dict[str, Any]]) -> str:
    columns = [[result["torch"][str(bins)] for result in results] for bins in TEST_BINS]
    twin = [result["twin"] for result in results]
    loss = [result["twin"] - result["torch"]["10"] for result in results]
    difference = [result["spike_difference"] for result in results]
    cells = []
    for values in (*columns, twin, loss, difference):
        spread = f" ± {stdev(values) * 100:.1f}" if len(values) > 1 else ""
        cells.append(f"{mean(values) * 100:.1f}{spread}")
    return f"| {row} | {len(results)} | " + " | ".join(cells) + " |"


def _result_path(folder: Path, row: str, seed: int) -> Path:
    return folder / f"{row.replace('_', '-')}-seed{seed}.json"


if __name__ == "__main__":
    main()
