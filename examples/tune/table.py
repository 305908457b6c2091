"""Print how well the model of time steps predicts, from what `speckflex tune --json` wrote.

python examples/tune/table.py [RESULTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = (
    "network",
    "w of the stages",
    "fresh",
    "error, points",
    "by chance",
    "rank correlation (95 %)",
    "chosen",
    "energy",
    "same T everywhere",
    "chosen against it, points (95 %)",
)


def main() -> None:
    """Print one line for each result file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for path in sorted(folder.glob("*.json")):
        print(f"| {' | '.join(cells(path.stem, json.loads(path.read_text())))} |")


def cells(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    """Return a line of the table; a fit that was refused has no model."""
    check, gain = found["check"], found["gain"]
    model = ("no model", "-", "-", "-", "-")
    if check is not None:
        pairs = zip(found["weights"], found["errors"], strict=True)
        low, high = check["interval"]
        model = (
            ", ".join(f"{weight:.3f} +- {error:.3f}" for weight, error in pairs),
            str(check["configurations"]),
            f"{100 * check['error']:.2f}",
            f"{100 * check['chance']:.2f}",
            f"{check['rank_correlation']:.2f} ({low:.2f} to {high:.2f})",
        )
    low, high = (100 * end for end in gain["interval"])
    return (
        f"`{name}`",
        *model,
        "/".join(map(str, found["chosen"])),
        f"{found['energy'][0]:.0%}",
        f"{gain['before']:.1%} at T = {found['uniform']}",
        f"{100 * (gain['after'] - gain['before']):+.1f} ({low:+.1f} to {high:+.1f})",
    )


if __name__ == "__main__":
    main()
