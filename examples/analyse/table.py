"""Print two networks under noise, side by side, from what `speckflex analyse --json` wrote.

python examples/analyse/table.py [RESULT]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "nmnist.json"
LEVELS = {
    "weights": "8-bit weights off by up to {:g}",
    "noise events": "{:g} noise events a second",
    "lost events": "{:.0%} of the events lost",
}


def main() -> None:
    """Print a line for each level on the twin, and for each measure in torch."""
    found = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else RESULT).read_text())
    analyses = found["analyses"]
    names = [f"`{one['model']}`" for one in analyses]
    print(f"| | {' | '.join(names)} |")
    print("|---" * (1 + len(analyses)) + "|")
    print(row("twin, no noise", [f"{one['curves'][0]['plain']:.1%}" for one in analyses]))
    for curves in zip(*(one["curves"] for one in analyses), strict=True):
        for line in of_noise(curves):
            print(line)
    for line in in_torch([one["flatness"] for one in analyses]):
        print(line)


def of_noise(curves: tuple[dict[str, Any], ...]) -> list[str]:
    """Return the lines of one kind of noise, one for each level."""
    kind, lines = curves[0]["kind"], []
    for points in zip(*(one["points"] for one in curves), strict=True):
        name = LEVELS[kind].format(points[0]["level"])
        cells = [spread(one["mean"], one["lowest"], one["highest"]) for one in points]
        lines.append(row(f"twin, {name}", cells))
    return lines


def in_torch(found: list[dict[str, Any]]) -> list[str]:
    """Return the lines of what was measured in time steps."""
    lines = []
    for where, key in (("weights", ""), ("counts", "input_")):
        for place, sigma in enumerate(found[0][f"{key}sigmas"]):
            cells = [spread(*one[f"{key}accuracies"][place]) for one in found]
            lines.append(row(f"torch, sigma {sigma:g} on the {where}", cells))
    for name, key in (("weights", "weights"), ("frames", "inputs")):
        lengths = [f"{one['gradients'][key]:.3g}" for one in found]
        lines.append(row(f"torch, gradient on the {name}", lengths))
    return lines


def spread(mean: float, low: float, high: float) -> str:
    """Return a mean with the lowest and highest run."""
    return f"{mean:.1%} ({low:.1%} to {high:.1%})"


def row(name: str, cells: list[str]) -> str:
    """Return a line of the table."""
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
