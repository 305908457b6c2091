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
STAGE = (FOLDER.parents[1] / "docs" / "stages" / "finetune.md").read_text()
SEEDS = (1000, 2000, 3000)
# What a row begins with: the file's prefix, and whose answers they are.
ROWS = {
    "base in torch, T = 10": ("", "base_torch"),
    "base on the twin": ("", "base_twin"),
    "after `finetune`, on the twin": ("", "twin"),
    "with `--sparse-epochs 0`, on the twin": ("dense-", "twin"),
}


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


def with_interval(right):
    low, high = wilson_interval(int(right.sum()), len(right))
    return f"{percent(right.mean())} ({100 * low:.1f} to {100 * high:.1f})"


def difference(before, after):
    gain = paired_gain(before, after)
    low, high = (100 * end for end in gain.interval)
    return f"{100 * (gain.after - gain.before):+.1f} points ({low:+.1f} to {high:+.1f}"


@pytest.mark.parametrize("start", ROWS)
def test_the_folds_have_the_accuracies_of_their_answers(start):
    prefix, kind = ROWS[start]
    results = paths(f"{prefix}folds-0")
    assert [len(each["labels"]) for each in results] == [200] * 5
    cells = [percent(hits([each], kind).mean()) for each in results]
    assert row(start, 0) == [*cells, with_interval(hits(results, kind))]


@pytest.mark.parametrize("start", ROWS)
def test_paths_without_real_recordings_have_the_accuracies_of_their_answers(start):
    prefix, kind = ROWS[start]
    cells = [percent(hits(paths(f"{prefix}alone-{seed}"), kind).mean()) for seed in SEEDS]
    assert row(start, 1) == cells


def test_the_twin_keeps_what_the_base_had_in_torch():
    folds, dense = paths("folds-0"), paths("dense-folds-0")
    gain = paired_gain(hits(folds, "base_torch"), hits(folds, "twin"))
    assert gain.after >= 0.93
    assert gain.after - gain.before >= -0.01
    for said in (section(), STAGE):
        assert difference(hits(folds, "base_torch"), hits(folds, "twin")) in said
        assert difference(hits(dense, "twin"), hits(folds, "twin")) in said


def test_without_real_recordings_it_does_not():
    alone = [path for seed in SEEDS for path in paths(f"alone-{seed}")]
    dense = [path for seed in SEEDS for path in paths(f"dense-alone-{seed}")]
    for said in (section(), STAGE):
        assert difference(hits(alone, "base_torch"), hits(alone, "twin")) in said
        assert difference(hits(dense, "twin"), hits(alone, "twin")) in said


@pytest.mark.parametrize("name", ["folds-0", *(f"alone-{seed}" for seed in SEEDS)])
def test_the_stage_has_the_same_figures(name):
    results, dense = paths(name), paths(f"dense-{name}")
    begins = {"folds-0": "800 real"}.get(name, "5000 simulated ones train, 1000 real ones judge, s")
    ends = "" if name == "folds-0" else name.removeprefix("alone-")
    (line,) = re.findall(rf"^\| {begins}[^|]*{ends} \|(.*)\|$", STAGE, re.MULTILINE)
    shown = with_interval if name == "folds-0" else lambda right: percent(right.mean())
    assert [cell.strip().strip("*") for cell in line.split("|")] == [
        percent(hits(results, "base_torch").mean()),
        percent(hits(results, "base_twin").mean()),
        shown(hits(results, "twin")),
        shown(hits(dense, "twin")),
    ]


def test_no_recording_judges_twice():
    """The folds together have the labels of all 1000 recordings: 200 of each fifth."""
    labels = np.concatenate([each["labels"] for each in paths("folds-0")])
    (alone,) = paths("alone-1000")
    assert np.bincount(labels).tolist() == np.bincount(alone["labels"]).tolist()
