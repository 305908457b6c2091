"""The tables of the default path: each figure from the saved answers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from speckflex.recordings.measures import wilson_interval
from speckflex.training.gain import paired_gain

FOLDER = Path(__file__).parents[2] / "examples" / "nmnist"
RESULTS = FOLDER / "results" / "default-path"
SEEDS = (1000, 2000, 3000)
KINDS = {"base in torch, T = 10": "base_torch", "base on the twin": "base_twin", "twin": "twin"}


def section():
    text = (FOLDER / "README.md").read_text()
    start = text.index("## The default path of the command line")
    return text[start : text.index("\n## ", start + 3)]


def paths(name):
    return json.loads((RESULTS / f"{name}.json").read_text())["folds"]


def hits(results, kind):
    """Return (recording,) bool: what was answered right."""
    return np.concatenate([np.array(each[kind]) == each["labels"] for each in results])


def row(start, place):
    """Return the cells of a table's row, the first one that begins so or the second."""
    rows = re.findall(
        rf"^\| (?:\*\*)?{re.escape(start)}(?:\*\*)? \|(.*)\|$", section(), re.MULTILINE
    )
    return [cell.strip().strip("*") for cell in rows[place].split("|")]


def percent(share):
    return f"{100 * share:.1f} %"


@pytest.mark.parametrize("start", KINDS)
def test_the_folds_have_the_accuracies_of_their_answers(start):
    results = paths("folds-0")
    assert [len(each["labels"]) for each in results] == [200] * 5
    cells = [percent(hits([each], KINDS[start]).mean()) for each in results]
    right = hits(results, KINDS[start])
    low, high = wilson_interval(int(right.sum()), len(right))
    cells.append(f"{percent(right.mean())} ({100 * low:.1f} to {100 * high:.1f})")
    assert row(start, 0) == cells


@pytest.mark.parametrize("start", KINDS)
def test_paths_without_real_recordings_have_the_accuracies_of_their_answers(start):
    cells = [percent(hits(paths(f"alone-{seed}"), KINDS[start]).mean()) for seed in SEEDS]
    assert row(start, 1) == cells


def test_the_twin_keeps_what_the_base_had_in_torch():
    results = paths("folds-0")
    gain = paired_gain(hits(results, "base_torch"), hits(results, "twin"))
    low, high = (100 * end for end in gain.interval)
    said = f"{100 * (gain.after - gain.before):+.1f} points ({low:+.1f} to {high:+.1f})"
    assert said in section()
    assert gain.after >= 0.93
    assert gain.after - gain.before >= -0.01


def test_no_recording_judges_twice():
    """The folds together have the labels of all 1000 recordings: 200 of each fifth."""
    labels = np.concatenate([each["labels"] for each in paths("folds-0")])
    (alone,) = paths("alone-1000")
    assert np.bincount(labels).tolist() == np.bincount(alone["labels"]).tolist()
