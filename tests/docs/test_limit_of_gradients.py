"""The table of rates and limits: each figure from the saved answers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from speckflex.training.gain import paired_gain

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "examples" / "nmnist" / "results"
SAVED = json.loads((RESULTS / "limit-of-gradients" / "answers.json").read_text())
TEXT = (ROOT / "docs" / "stages" / "train.md").read_text()
SEEDS = (1000, 2000, 3000)
# The trainings ran when no limit was the default.
ROWS = {
    "`--clip-gradient 0`": "",
    "no option": "--clip-gradient 1",
    "`--clip-gradient 0 --lr 2e-3`": "--lr 2e-3",
    "`--lr 2e-3`": "--lr 2e-3 --clip-gradient 1",
    "`--clip-gradient 0 --lr 1e-3`": "--lr 1e-3",
    "`--clip-gradient 0 --synops-weight 0.05`": "--synops-weight 0.05",
    "`--clip-gradient 0 --lr 1e-3 --synops-weight 0.15`": "--lr 1e-3 --synops-weight 0.15",
}


def hits(step, options, kind, seeds=SEEDS):
    """Return (recording,) bool of all seeds: what was answered right."""
    found = {each["seed"]: each[kind] for each in SAVED[step] if each["options"] == options}
    return np.concatenate([np.array(found[seed]) == SAVED["labels"] for seed in seeds])


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_the_accuracies_of_its_answers(row):
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", TEXT, re.MULTILINE)
    for cell, kind in zip(line.split("|"), ("torch", "twin"), strict=True):
        right = hits("train", ROWS[row], kind).reshape(3, 1000).mean(axis=1)
        assert cell.strip() == ", ".join(f"{100 * each:.1f}" for each in right) + " %"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            ("train", "", "torch"),
            ("train", "--clip-gradient 1", "torch"),
            "+0.3 points, -0.3 to +0.9",
        ),
        (
            ("train", "--lr 1e-3", "twin"),
            ("train", "--lr 1e-3 --synops-weight 0.15", "twin"),
            "+8.5, +7.2 to +9.7",
        ),
        (
            ("train", "--lr 1e-3", "torch"),
            ("train", "--lr 1e-3 --synops-weight 0.15", "torch"),
            "-1.3, -2.3 to -0.3",
        ),
        (
            ("finetune", "--clip-gradient 0", "twin", (3000,)),
            ("finetune", "", "twin", (3000,)),
            "+5.1, +3.2 to +7.0, p = 1e-7",
        ),
    ],
)
def test_differences_are_those_of_pairs(before, after, said):
    gain = paired_gain(hits(*before), hits(*after))
    low, high = (100 * end for end in gain.interval)
    points = re.match(r"[^,]*", said).group().removesuffix(" points")
    assert points == f"{100 * (gain.after - gain.before):+.1f}"
    assert f"{low:+.1f} to {high:+.1f}" in said
    if "p = " in said:
        assert said.endswith(f"{gain.p_value:.0e}".replace("e-0", "e-"))
    assert said in TEXT


def test_mixed_time_steps_diverged_without_a_limit():
    epochs = json.loads((RESULTS / "mixed-unlimited" / "epochs.json").read_text())["epochs"]
    # a training that knows nothing has a loss of log 10, 2.3
    diverged = {
        name: next((each["epoch"] for each in history if each["loss"] > np.log(10)), None)
        for name, history in epochs.items()
    }
    assert diverged == {
        "mtt-1000": 2,
        "mtt-2000": 5,
        "mtt-3000": 3,
        "nmt-1000": None,
        "nmt-2000": None,
        "nmt-3000": 5,
    }


def test_the_limit_does_not_cure_mixed_time_steps():
    saved = json.loads((RESULTS / "mixed-unlimited" / "mtt-limits.json").read_text())["epochs"]
    last = {options: history[-1] for options, history in saved.items()}
    shares = [f"{100 * each['validation_accuracy']:.1f}" for each in last.values()]
    assert shares == ["65.6", "81.6", "76.4", "69.6"]
    assert [each["loss"] > np.log(10) for each in last.values()] == [True, True, False, False]
    text = " ".join(TEXT.split())
    assert "in 81.6 % with the limit and in 65.6 % without" in text
    assert "at a rate of 0.001 in 69.6 and 76.4 %" in text
