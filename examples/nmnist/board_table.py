"""Print the table of the training with the board in the loop from its result files.

python examples/nmnist/board_table.py [RESULTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from board_experiment import split_positions

from speckflex.recordings.measures import wilson_interval
from speckflex.training.gain import paired_gain

# The stages, each with those that it is compared with, on the same recordings.
STAGES = (
    ("base", ()),
    ("control", ("base",)),
    ("simulated", ("base", "control")),
    ("real", ("simulated",)),
)
NAMES = {
    "base": "base: SDT in torch, simulated recordings",
    "control": "control: SDT in torch for as many more epochs",
    "simulated": "board in the loop, the same recordings",
    "real": "board in the loop, then 700 real ones too",
}


def main() -> None:
    """Print one line for each result file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"
    columns = ("training", "seed", "judged on", "twin", "torch, T = 10", "points won, for pairs")
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    seeds = sorted({path.stem.rpartition("seed")[2] for path in folder.glob("board-base-*.json")})
    for seed in seeds:
        for stage, others in STAGES:
            result = read(folder, stage, seed)
            if result is not None:
                print(line(stage, seed, result, {o: read(folder, o, seed) for o in others}))


def read(folder: Path, stage: str, seed: str) -> dict[str, Any] | None:
    """Return the content of a result file; None where there is none."""
    path = folder / f"board-{stage}-seed{seed}.json"
    return json.loads(path.read_text()) if path.exists() else None


def line(
    stage: str, seed: str, result: dict[str, Any], others: dict[str, dict[str, Any] | None]
) -> str:
    """Return a line of the table."""
    right = right_answers(result)
    low, high = wilson_interval(int(right.sum()), len(right))
    gains = [f"{against(right, o)} over {name}" for name, o in others.items() if o is not None]
    cells = (
        NAMES[stage],
        seed,
        f"{len(right)} real",
        f"{right.mean():.1%} ({low:.1%} to {high:.1%})",
        f"{result['torch']:.1%}",
        "; ".join(gains),
    )
    return f"| {' | '.join(cells)} |"


def right_answers(result: dict[str, Any]) -> np.ndarray:
    """Return (recording,) bool: what the twin classified right."""
    return np.array(result["twin_predictions"]) == np.array(result["labels"])


def against(right: np.ndarray, other: dict[str, Any]) -> str:
    """Return the paired gain over another result, which may hold more recordings."""
    before = right_answers(other)
    if len(before) > len(right):
        before = before[split_positions(np.array(other["labels"]))[2]]
    gain = paired_gain(before, right)
    low, high = (100 * end for end in gain.interval)
    won = 100 * (gain.after - gain.before)
    return f"{won:+.1f} ({low:+.1f} to {high:+.1f}, p = {gain.p_value:.1g})"


if __name__ == "__main__":
    main()
