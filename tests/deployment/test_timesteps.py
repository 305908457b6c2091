"""Accuracy and spike difference at several T beside a board, and their picture."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network

import speckflex as sf
from speckflex.cli import main
from speckflex.conversion.model import read_model
from speckflex.data import open_dataset
from speckflex.deployment.timestep_plot import render_page, render_svg
from speckflex.deployment.timesteps import measure_timesteps
from speckflex.errors import EventsError, NetworkError
from speckflex.networks.files import save_network
from speckflex.training import cache_frames, evaluate
from speckflex.training.mixed.stages import MixedTimestepNetwork

TIMESTEPS = (1, 3, 8)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def dataset(cache):
    return open_dataset("synthetic-digits", limit=40, cache=cache)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.pt"
    save_network(small_network(), path)
    return path


@pytest.fixture(scope="module")
def curve(path, dataset):
    model = read_model(path, input_shape=dataset.shape, chip="unbounded")
    with sf.open_board("twin") as board:
        return measure_timesteps(model, dataset, board, TIMESTEPS)


def test_torch_has_the_accuracy_that_training_measures(curve, dataset):
    mixed = MixedTimestepNetwork(small_network())
    expected = [evaluate(mixed, cache_frames(dataset, t)).accuracy for t in TIMESTEPS]
    assert [point.timesteps for point in curve.in_torch] == list(TIMESTEPS)
    assert [point.accuracy for point in curve.in_torch] == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_the_board_has_the_accuracy_of_a_play(curve, dataset):
    program = sf.convert(small_network(), input_shape=dataset.shape, chip="unbounded")
    with sf.open_board("twin") as board:
        board.load(program)
        recording = board.play([events for events, _ in dataset]).with_labels(dataset.labels)
    assert curve.program_sha256 == program.sha256
    assert curve.on_board.accuracy == recording.accuracy()
    assert np.array_equal(curve.on_board.predictions, recording.predictions())


def test_spike_differences_are_relative_to_the_board(curve, dataset):
    """Counted neuron by neuron from the frames and from the board's spikes."""
    network = small_network()
    program = sf.convert(network, input_shape=dataset.shape)
    mixed = MixedTimestepNetwork(network)
    with sf.open_board("twin") as board:
        board.load(program)
        on_board = board.play([events for events, _ in dataset]).counts(-1)[..., 0, 0]
    for point in curve.in_torch:
        frames = cache_frames(dataset, point.timesteps).frames
        stepped = mixed(frames).sum(1).detach().numpy()
        pairs = zip(on_board.ravel(), stepped.ravel(), strict=True)
        distance = sum(abs(float(a) - float(b)) for a, b in pairs)
        assert point.spike_difference == pytest.approx(distance / float(on_board.sum()))
    assert curve.on_board.spike_difference is None


def test_intervals_are_wilsons(path, dataset):
    """8 of 10 right: 0.490 to 0.943, as in textbooks."""
    model = read_model(path, input_shape=dataset.shape)
    with sf.open_board("twin") as board:
        answers = measure_timesteps(model, dataset[:10], board, [4]).on_board.predictions
        wrong = np.arange(10) < 2
        labels = np.where(wrong, (answers + 1) % 10, answers)
        curve = measure_timesteps(model, replace(dataset[:10], labels=labels), board, [4])
        unknown = replace(dataset[:10], labels=np.full(10, -1))
        unlabelled = measure_timesteps(model, unknown, board, [4])
    assert curve.on_board.accuracy == 0.8
    assert curve.on_board.interval == pytest.approx((0.490, 0.943), abs=5e-4)
    assert unlabelled.on_board.accuracy is unlabelled.in_torch[0].accuracy is None
    assert unlabelled.in_torch[0].spike_difference == pytest.approx(
        curve.in_torch[0].spike_difference
    )


def test_the_picture_has_a_mark_for_each_figure(curve):
    picture = ET.fromstring(render_svg(curve))  # noqa: S314 - our own text
    circles = picture.findall(f".//{SVG}circle")
    assert len(circles) == 2 * len(TIMESTEPS)
    heights = [float(circle.get("cy")) for circle in circles[:3]]
    accuracies = [point.accuracy for point in curve.in_torch]
    order = np.argsort(accuracies, kind="stable")
    assert np.all(np.diff(np.array(heights)[order]) <= 0)  # higher accuracy lies higher up
    words = [text.text for text in picture.findall(f".//{SVG}text")]
    assert {"1", "3", "8", "board twin"} <= set(words)


def test_a_page_escapes_names_and_says_synthetic(curve):
    page = render_page(replace(curve, model="<b>.pt"))
    assert "&lt;b&gt;.pt" in page
    assert "<b>" not in page
    assert "40 synthetic recordings" in page
    for point in curve.in_torch:
        assert f"<td>T = {point.timesteps}</td><td>{point.accuracy:.1%}</td>" in page


def test_a_program_has_no_time_steps(tmp_path, dataset):
    program = sf.convert(small_network(), input_shape=dataset.shape)
    program.save(tmp_path / "small.speck")
    model = read_model(tmp_path / "small.speck")
    with sf.open_board("twin") as board, pytest.raises(NetworkError, match="has no time steps"):
        measure_timesteps(model, dataset, board, [1])


def test_no_recording_is_refused(path, dataset):
    model = read_model(path, input_shape=dataset.shape)
    with sf.open_board("twin") as board, pytest.raises(EventsError, match="holds no recording"):
        measure_timesteps(model, dataset[:0], board, [1])


def test_in_python_files_networks_and_data_sets_give_the_same_curve(path, dataset, curve):
    told = []
    same = [
        sf.evaluate(path, dataset, timesteps=TIMESTEPS, progress=told.append),
        sf.evaluate(small_network(), dataset, timesteps=TIMESTEPS),
        sf.evaluate(path, "synthetic-digits", timesteps=TIMESTEPS, samples=40),
    ]
    for one in same:
        assert one.program_sha256 == curve.program_sha256
        assert np.array_equal(one.labels, curve.labels)
        for point, expected in zip(
            (*one.in_torch, one.on_board), (*curve.in_torch, curve.on_board), strict=True
        ):
            assert np.array_equal(point.predictions, expected.predictions)
    in_torch = [f"torch, T = {t}" for t in TIMESTEPS]
    assert list(dict.fromkeys(step.stage for step in told)) == [
        "opening the recordings",
        "loading small.pt",
        "folding small.pt",
        "converting small.pt",
        "loading the program onto twin",
        "playing on twin",
        *in_torch,
    ]
    counted = [(step.done, step.total) for step in told if step.stage == in_torch[0]]
    assert counted == [(0, 40), (32, 40), (32, 40), (40, 40)]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_prints_what_the_library_measures(path, cache, curve, tmp_path):
    data = ("--data", "synthetic-digits", "--samples", 40, "--cache", cache)
    command = ("evaluate", path, *data, "--t", "8,1,3,3")
    out = tmp_path / "curve.svg"
    printed = run(*command, "--json", "--out", out)
    assert printed.exit_code == 0, printed.output
    figures = json.loads(printed.stdout)
    assert [point["timesteps"] for point in figures["in_torch"]] == [1, 3, 8]
    for point, expected in zip(figures["in_torch"], curve.in_torch, strict=True):
        assert point["accuracy"] == expected.accuracy
        assert point["spike_difference"] == expected.spike_difference
        assert point["predictions"] == expected.predictions.tolist()
    assert figures["on_board"]["accuracy"] == curve.on_board.accuracy
    assert figures["speckflex"] == sf.__version__
    assert out.read_text() == render_svg(curve)
    text = run(*command, "--out", tmp_path / "curve.html")
    assert f"{curve.on_board.accuracy:.2%}" in text.stdout
    assert "synthetic recordings" in text.stdout
    assert (tmp_path / "curve.html").read_text() == render_page(curve)


@pytest.mark.parametrize("steps", ["0", "1,,2", "one", "-3", "1.5", "²"])
def test_time_steps_that_are_none_are_misuse(path, steps):
    refused = run("evaluate", path, "--t", steps)
    assert refused.exit_code == 2
    assert "is no list of time steps" in refused.output
