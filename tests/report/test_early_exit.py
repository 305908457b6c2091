"""The section on early exit, and the bar on the accuracy at a time: silence fails it."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex.analysis.readings import Reading, read_outputs
from speckflex.deployment.deploy import DeploySettings, deploy
from speckflex.report import Report, render_html, render_json, render_text
from speckflex.report.bars import Bars
from speckflex.report.build import report_of
from speckflex.report.evidence import gather_evidence
from speckflex.report.spelling import percent

PROGRAM = two_core_program()


def report(bar: float | None = None, *, silent: bool = False, **changes: object) -> Report:
    rng = np.random.default_rng(5)
    recording = played(PROGRAM, rng, "twin", 12)
    inputs = [random_stream(rng, PROGRAM.input.shape, 40) for _ in range(12)]
    readings = read_outputs(recording, inputs, PROGRAM)
    if silent:
        none = np.zeros(0, np.int64)
        readings = tuple(Reading(one.end, none, none, one.spent) for one in readings)
    evidence = gather_evidence(PROGRAM, {"twin": recording}, input_events=inputs)
    bars = Bars(min_accuracy_at=None if bar is None else (20_000, bar))
    given = {"readings": {"twin": readings}, "bars": bars} | changes
    return report_of(replace(evidence, **given))


def test_every_rendering_names_the_rules_and_the_estimate():
    found = report(0.0)
    assert found.early_exits is not None
    assert found.passed
    for text in (render_text(found), render_html(found)):
        assert "margin" in text
        assert "posterior" in text
        assert "energy (estimated)" in text
    assert "Accuracy over mean reading time" in render_html(found)
    study = found.early_exits.early_exit["twin"]
    assert percent(study.to_the_end.accuracy) in render_text(found)
    assert '"early_exit": {' in render_json(found)


def test_a_report_that_was_not_asked_has_no_section():
    found = report(readings={})
    assert found.early_exits is None
    assert "early exit" not in render_text(found).lower()


def test_a_silent_output_misses_the_bar_at_any_time():
    found = report(0.01, silent=True)
    assert found.missed == ("accuracy at 20 ms is 0.0, below 0.01 (0.00 %)",)


def test_an_output_that_is_not_read_over_time_misses_the_bar_with_the_reason():
    found = report(0.5, readings={}, unread="the last layer is read by its potentials")
    assert (
        "has no value (the last layer is read by its potentials), the bar is 0.5"
        in (found.missed[0])
    )
    assert "potentials" in render_text(found)


def test_samples_without_a_label_miss_the_bar():
    found = report(0.5)
    recording = played(PROGRAM, np.random.default_rng(5), "twin", 2)
    evidence = gather_evidence(PROGRAM, {"twin": replace(recording, labels=None)})
    silent = Reading(10, np.zeros(0, np.int64), np.zeros(0, np.int64))
    bare = replace(evidence, readings={"twin": (silent, silent)}, bars=found.bars)
    assert report_of(bare).missed == (
        "the accuracy at 20 ms has no value (no sample has a label), the bar is 0.5",
    )


@pytest.mark.parametrize("kept", [32, 0])
def test_a_deployment_reads_all_samples_whether_their_spikes_are_kept_or_not(kept):
    rng = np.random.default_rng(1)
    events = [random_stream(rng, PROGRAM.input.shape, 30) for _ in range(4)]
    from speckflex.data import EventDataset

    data = EventDataset(
        name="made up",
        shape=PROGRAM.input.shape,
        classes=("a", "b"),
        labels=np.array([0, 1, 0, 1]),
        synthetic=True,
        items=tuple(events),
        read=lambda item: item,
    )
    settings = DeploySettings(early_exit=True, events_of=kept, batch=2)
    found = deploy(PROGRAM, data, "twin", settings=settings).report
    assert found.early_exits is not None
    study = found.early_exits.early_exit["twin"]
    assert (study.samples, study.chosen_on) == (4, 2)
    assert study.to_the_end.accuracy == found.accuracies.accuracy["twin"]
    assert study.to_the_end.synops == pytest.approx(
        sum(one.synops.total for one in found.layers if one.synops) / 4
    )
