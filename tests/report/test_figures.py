"""The data behind the pictures, and the still pictures themselves."""

import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex import Recording
from speckflex.chips.speck import SPECK2E
from speckflex.program.program import Program
from speckflex.report import Report, build_report
from speckflex.report.charts._svg import NARROW, WIDE, Canvas
from speckflex.report.sections._accuracy import accuracy_chart
from speckflex.report.sections._cores import WorkOverTime, cores_chart, work_chart
from speckflex.report.sections._difference import difference_chart
from speckflex.report.sections._sample import MAX_SPIKES, N_FRAMES


@pytest.fixture
def program() -> Program:
    return two_core_program()


@pytest.fixture
def recordings(program: Program, rng: np.random.Generator) -> dict[str, Recording]:
    return {kind: played(program, rng, kind) for kind in ("torch", "twin")}


@pytest.fixture
def inputs(program: Program, rng: np.random.Generator) -> list[np.ndarray]:
    return [random_stream(rng, program.input.shape, 40) for _ in range(4)]


@pytest.fixture
def report(program: Program, recordings: dict[str, Recording], inputs: list[np.ndarray]):
    return build_report(program, recordings, input_events=inputs)


def test_the_scatter_holds_every_neuron_once(report: Report, recordings: dict[str, Recording]):
    for layer, facts in enumerate(report.neurons.scatter):
        x, y = (recordings[role].counts(layer).sum(axis=0).ravel() for role in ("torch", "twin"))
        expected = Counter(zip(x.tolist(), y.tolist(), strict=True))
        points = zip(facts.x.tolist(), facts.y.tolist(), strict=True)
        assert dict(zip(points, facts.neurons.tolist(), strict=True)) == expected
        assert facts.total == len(x)


def test_a_scatter_point_names_a_neuron_that_has_its_counts(
    report: Report, recordings: dict[str, Recording]
):
    facts = report.neurons.scatter[0]
    for x, neuron in zip(facts.x, facts.neuron, strict=True):
        assert recordings["torch"].counts(0).sum(axis=0).flat[neuron] == x


def test_torch_lies_on_the_x_axis_even_where_the_chip_is_the_reference(
    program: Program, recordings: dict[str, Recording], rng: np.random.Generator
):
    three = {**recordings, "chip": played(program, rng, "chip")}
    facts = build_report(program, three).neurons.scatter[0]
    assert (facts.x_role, facts.y_role) == ("torch", "chip")


def test_a_difference_map_is_the_mean_difference_a_sample(
    report: Report, recordings: dict[str, Recording]
):
    expected = recordings["twin"].counts(0).mean(axis=0) - recordings["torch"].counts(0).mean(
        axis=0
    )
    np.testing.assert_allclose(report.neurons.maps[0].values, expected)


def test_single_neurons_become_one_map(report: Report, recordings: dict[str, Recording]):
    facts = report.neurons.maps[1]
    expected = recordings["twin"].counts(1).mean(axis=0) - recordings["torch"].counts(1).mean(
        axis=0
    )
    assert facts.row_of_neurons
    np.testing.assert_allclose(facts.values.ravel(), expected.ravel())


def test_the_chosen_sample_differs_most_at_the_output(
    report: Report, recordings: dict[str, Recording]
):
    reference, other = recordings["twin"].counts(-1), recordings["torch"].counts(-1)
    distances = [np.abs(a - b).sum() / a.sum() for a, b in zip(reference, other, strict=True)]
    assert {raster.sample for raster in report.one_sample.rasters} == {int(np.argmax(distances))}


def test_a_raster_holds_every_spike_of_its_sample(report: Report, recordings: dict[str, Recording]):
    raster = report.one_sample.rasters[0]
    events = recordings["twin"].events(-1, raster.sample)
    stream = raster.streams["twin"]
    assert stream.total == len(events) == len(stream.neuron)
    np.testing.assert_allclose(stream.time_ms, events["t"] / 1000, rtol=1e-6)
    np.testing.assert_array_equal(stream.neuron, events["p"])  # one neuron a channel


def test_a_dense_raster_is_thinned_from_first_to_last(rng: np.random.Generator, program: Program):
    recording = played(program, rng, "twin", 1)
    dense = random_stream(rng, program.cores[0].output_shape, 10 * MAX_SPIKES)
    layer = type(recording.layers[0])(0, "conv1", recording.counts(0), (dense,))
    recording = Recording((layer,), 1, recording.samples, recording.provenance)
    stream = build_report(None, {"twin": recording}).one_sample.rasters[0].streams["twin"]
    assert len(stream.neuron) == MAX_SPIKES
    assert stream.total == 10 * MAX_SPIKES
    assert stream.time_ms[[0, -1]] == pytest.approx(dense["t"][[0, -1]] / 1000)


def test_the_frames_hold_every_input_event(report: Report, inputs: list[np.ndarray]):
    facts = report.one_sample.frames
    assert facts is not None
    events = inputs[facts.sample]
    assert facts.values.shape[0] == N_FRAMES
    assert facts.values.sum() == len(events)
    counts = np.zeros(facts.values.shape[1:], int)
    np.add.at(counts, (events["p"], events["y"], events["x"]), 1)
    np.testing.assert_array_equal(facts.values.sum(axis=0), counts)


def test_the_work_over_time_adds_up_to_the_busiest_sample(
    program: Program, recordings: dict[str, Recording], inputs: list[np.ndarray]
):
    report = build_report(program, recordings, input_events=inputs[:1])
    for line, layer in zip(report.cores.work, report.layers, strict=True):
        if layer.index == 0:  # one sample's input, so its whole work is one line
            total = (np.asarray(line.rate) * line.window_ms / 1000).sum()
            assert total == pytest.approx(layer.synops.total)


def elements(picture: Any, tag: str, kind: str = ""):
    """Return the elements of a drawing by tag and first class."""
    root = ET.fromstring(str(picture))  # noqa: S314 - our own drawing
    found = [item for item in root.iter() if item.tag.endswith(tag)]
    return [item for item in found if not kind or item.get("class", "").startswith(kind)]


def test_bars_are_as_long_as_the_differences(program: Program, recordings: dict[str, Recording]):
    layers = build_report(program, recordings).layers
    widths = [
        float(bar.get("width")) for bar in elements(difference_chart(layers, WIDE), "rect", "bar")
    ]
    values = [layer.spike_difference for layer in layers]
    np.testing.assert_allclose(
        np.array(widths) / max(widths), np.array(values) / max(values), atol=1e-3
    )


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=lambda canvas: canvas.kind)
def test_no_chart_leaves_its_canvas(report: Report, canvas: Canvas):
    charts = (
        difference_chart(report.layers, canvas),
        accuracy_chart(report.accuracies, report, canvas),
        cores_chart(report.layers, "speck2e", canvas),
        work_chart(report.cores.work, 1e6, canvas),
    )
    for chart in charts:
        _, _, width, height = map(float, elements(chart, "svg")[0].get("viewBox", "").split())
        assert width == canvas.width
        for bar in elements(chart, "rect"):
            x, y, wide, high = (float(bar.get(name)) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + wide <= width + 0.2
            assert 0 <= y <= y + high <= height + 0.2
        for shape in elements(chart, "path"):
            edges = [float(x) for x in re.findall(r"[MH]([\d.]+)", shape.get("d", ""))]
            tops = [float(y) for y in re.findall(r"V([\d.]+)", shape.get("d", ""))]
            assert 0 <= min(edges) <= max(edges) <= width + 0.2
            assert 0 <= min(tops) <= max(tops) <= height + 0.2
        for text in elements(chart, "text"):
            letter = 6.3 if text.get("class") == "small" else 7.4  # px, of a usual letter
            reach = letter * len(text.text or "")
            start = (
                float(text.get("x"))
                - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")] * reach
            )
            assert start >= 0
            assert start + reach <= width


def test_the_noise_floor_stands_beside_every_bar(
    program: Program, recordings: dict[str, Recording], rng: np.random.Generator
):
    with_floor = {**recordings, "repeat": played(program, rng, "twin")}
    layers = build_report(program, with_floor).layers
    assert len(elements(difference_chart(layers, WIDE), "line", "floor")) == len(layers)


def test_accuracy_points_lie_inside_their_intervals(
    program: Program, recordings: dict[str, Recording]
):
    report = build_report(program, recordings)
    picture = accuracy_chart(report.accuracies, report, WIDE)
    points, intervals = elements(picture, "circle"), elements(picture, "line", "interval")
    assert len(points) == len(intervals) == 2
    for point, interval in zip(points, intervals, strict=True):
        assert float(interval.get("x1")) <= float(point.get("cx")) <= float(interval.get("x2"))


def test_all_nine_cores_are_drawn_and_two_are_used(
    program: Program, recordings: dict[str, Recording]
):
    picture = cores_chart(build_report(program, recordings).layers, program.chip, WIDE)
    assert len(elements(picture, "rect", "core")) == 9
    assert len(elements(picture, "rect", "core used")) == 2
    words = "".join(item.text or "" for item in elements(picture, "text"))
    assert "layer conv1" in words
    assert "core 1 (not repeatable)" in words


def test_work_beyond_the_limit_is_marked():
    starts = np.array([0.0, 10.0])
    lines = [
        WorkOverTime("a", 0, starts, np.array([20e6, 1e6]), 10.0),
        WorkOverTime("b", 0, starts, np.array([1e5, 1e5]), 10.0),
    ]
    picture = work_chart(lines, SPECK2E.synops_per_second, WIDE)
    assert len(elements(picture, "path", "bar over")) == 1
    assert len(elements(picture, "line", "limit")) == 1


def test_a_strip_of_work_is_as_high_as_the_rates():
    rates = [2.0, 5.0, 5.0, 0.0, 1.0]
    row = WorkOverTime("a", 0, np.arange(5.0), np.array(rates), 1.0, 5.0)
    (path,) = elements(work_chart([row], 1e6, WIDE), "path", "bar")
    # a walk along the outline, by hand: V is a height, H the end of a step
    height, steps, place = 0.0, [], WIDE.left
    step = (WIDE.across(1) - WIDE.left) / 5
    base = float(re.split("[VH]", path.get("d", "").split()[1])[0])
    for order, number in re.findall(r"([VH])([\d.]+)", path.get("d", ""))[:-1]:
        if order == "V":
            height = base - float(number)
            continue
        steps += [height] * round((float(number) - place) / step)
        place = float(number)
    np.testing.assert_allclose(np.array(steps) / max(steps), np.array(rates) / 5, atol=0.01)


def test_names_in_pictures_are_escaped(rng: np.random.Generator):
    program = two_core_program('<script>"&')
    layers = build_report(program, {"twin": played(program, rng, "twin")}).layers
    picture = cores_chart(layers, program.chip, WIDE)
    assert "<script>" not in picture
    assert elements(picture, "svg")[0].get("aria-label", "").count('<script>"&') == 1
