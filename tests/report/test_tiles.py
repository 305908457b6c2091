"""The tiles of the verdict: nothing that was not measured passes, and silence fails."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex.analysis.core_load import LayerLoad
from speckflex.recordings.recording import Recording
from speckflex.report import Report, render_markdown
from speckflex.report._as_markdown import _code
from speckflex.report._tiles import Tile, tiles_of
from speckflex.report.bars import Bars
from speckflex.report.build import report_of
from speckflex.report.evidence import gather_evidence

PROGRAM = two_core_program()


def report(*roles: str, silent: bool = False, labels: bool = True, **more: object) -> Report:
    rng = np.random.default_rng(2)
    recordings = {role: played(PROGRAM, rng, role) for role in roles}
    for role, one in recordings.items():
        layers = tuple(replace(r, counts=0 * r.counts, events=None) for r in one.layers)
        shown = layers if silent else one.layers
        own = one.labels if labels else None
        recordings[role] = Recording(shown, 2, one.samples, one.provenance, own)
    inputs = [random_stream(rng, PROGRAM.input.shape, 40) for _ in range(4)]
    evidence = gather_evidence(PROGRAM, recordings, input_events=inputs)
    return report_of(replace(evidence, **more))


def tile(subject: str, found: Report) -> Tile:
    return next(one for one in tiles_of(found) if one.subject == subject)


def load(factor: float, verdict: str) -> LayerLoad:
    return LayerLoad(
        0, "conv1", 9, 0, factor * 1e7, 1e7, factor, 1.0, 5.0, 0.0, 0.0, 0.0, verdict, False, 4
    )


def test_what_was_not_measured_does_not_pass():
    alone = report("twin", labels=False)
    assert tile("Accuracy", alone).status == "unknown"
    assert tile("Spike difference", alone).status == "unknown"
    assert tile("Load", alone).status == "unknown"


def test_silence_fails_and_names_the_layers():
    silent = report("torch", "twin", silent=True)
    assert tile("Spike difference", silent).status == "fail"
    found = tile("Silence", silent)
    assert found.status == "fail"
    assert "conv1, fc" in found.words


@pytest.mark.parametrize(
    ("factor", "verdict", "status"),
    [
        (0.5, "keeps up", "pass"),
        (0.9, "keeps up", "warn"),
        (0.5, "held up", "warn"),
        (2.5, "overloaded", "fail"),
    ],
)
def test_the_load_goes_by_the_busiest_core(factor: float, verdict: str, status: str):
    found = tile("Load", report("torch", "twin", loads=(load(factor, verdict),)))
    assert found.status == status
    assert found.figure == ("2.5 times" if factor > 1 else f"{100 * factor:.0f} %")


def test_a_missed_bar_fails_and_a_reached_bar_passes():
    share = report("torch", "twin").spike_difference
    assert share is not None
    for bar, status in ((share - 0.01, "fail"), (share, "pass")):
        found = report("torch", "twin", bars=Bars(max_spike_difference=bar))
        assert tile("Spike difference", found).status == status
    silent = report("torch", "twin", silent=True, bars=Bars(min_accuracy=0.1))
    assert tile("Accuracy", silent).status == "fail"


def test_known_losses_fail():
    # the made-up samples lose one event each
    assert tile("Losses", report("torch", "twin")).status == "fail"
    assert tile("Losses", report("torch", "twin")).figure == "4 known"


def test_markdown_has_a_row_for_each_tile_with_its_state():
    found = report("torch", "twin", loads=(load(2.5, "overloaded"),))
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in render_markdown(found).splitlines()
        if line.startswith("| ") and line.count(" | ") >= 4
    ]
    states = {row[0]: row[1].strip("*") for row in rows}
    for one in tiles_of(found):
        assert states[one.subject] == {"unknown": "not known"}.get(one.status, one.status)
    (of_load,) = [row for row in rows if row[0] == "Load"]
    assert of_load[1:3] == ["**fail**", "2.5 times"]


def test_a_command_in_markdown_ends_no_cell():
    assert r"`speckflex check 'a\|b.pt'`" in _code("speckflex check 'a|b.pt'")
    assert "`" not in _code("speckflex check 'a`b.pt'").replace(r"\`", "")
