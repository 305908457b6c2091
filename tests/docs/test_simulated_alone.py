"""The table of the training on simulated recordings alone: each figure from the saved answers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from speckflex.recordings.measures import wilson_interval

FOLDER = Path(__file__).parents[2] / "examples" / "nmnist"
SEEDS = (1000, 2000, 3000)
RESULTS = [
    json.loads(
        (FOLDER / "results" / "simulated-alone" / f"simulated-alone-{seed}.json").read_text()
    )
    for seed in SEEDS
]


def row(start: str) -> list[str]:
    """Return what the README says of each seed, in the row that begins so."""
    text = (FOLDER / "README.md").read_text()
    section = text[text.index("## Simulated recordings alone") :]
    (line,) = re.findall(rf"^\| {re.escape(start)} \|(.*)\|$", section, re.MULTILINE)
    return [cell.strip().strip("*") for cell in line.split("|")]


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("base on the twin", "before"),
        ("with a price of spikes, on the twin", "between"),
        ("**then with the board in the loop, on the twin**", "twin"),
    ],
)
def test_the_twin_answered_as_the_table_says(start, name):
    for said, result in zip(row(start), RESULTS, strict=True):
        right = np.array(result[f"{name}_predictions"]) == result["labels"]
        assert len(right) == 1000
        assert said.startswith(f"{right.mean():.1%}".replace("%", " %"))
        if "(" in said:
            low, high = wilson_interval(int(right.sum()), len(right))
            assert said.endswith(f"({100 * low:.1f} to {100 * high:.1f})")


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("base in torch, T = 10", "before_torch"),
        ("the same network in torch, T = 10", "twin_torch"),
        ("800 simulated recordings of images kept apart, twin", "simulated_apart"),
    ],
)
def test_other_accuracies_are_those_of_the_files(start, name):
    assert row(start) == [f"{100 * result[name]:.1f} %" for result in RESULTS]


def test_real_recordings_in_training_win_nothing():
    """Each fifth is judged by a network that did not see it."""
    before, after = np.zeros(1000, bool), np.zeros(1000, bool)
    for seed, folds in ((0, (4,)), (1, (0, 1)), (2, (2, 3))):
        labels = np.array(RESULTS[seed]["labels"])
        for fold in folds:
            for hits, name in ((before, f"fold{fold}_before"), (after, f"fold{fold}")):
                hits[fold::5] = RESULTS[seed][f"{name}_predictions"] == labels[fold::5]
    assert (before.sum(), after.sum()) == (974, 975)
    text = (FOLDER / "README.md").read_text()
    assert "has 97.5 % (96.3 to 98.3) of the 1000 right" in text
