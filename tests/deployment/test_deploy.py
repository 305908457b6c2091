"""Deployment through the library: what runs, what is compared and what is written."""

import html
import json
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tonic
import torch
from networks_of_tests import small_network

import speckflex as sf
from speckflex.boards import open_board
from speckflex.boards.choosing import ChosenBoard, choose_board
from speckflex.conversion.model import read_model
from speckflex.data import open_dataset
from speckflex.deployment.deploy import DeploySettings, deploy
from speckflex.deployment.describe import describe_file
from speckflex.deployment.figures import FORMATS, write_figures
from speckflex.deployment.progress import SAMPLES
from speckflex.errors import BoardNotFoundError, EventsError
from speckflex.events.streams import make_events
from speckflex.networks.files import load_network, save_network
from speckflex.program.program import Program
from speckflex.recordings.recording import Recording
from speckflex.report import render_html, render_text
from speckflex.report.bars import Bars

SHAPE = (2, 34, 34)


@pytest.fixture
def recordings(tmp_path, rng):
    """A file of seven short recordings."""
    samples = []
    for _ in range(7):
        n = int(rng.integers(300, 600))
        times = np.sort(rng.integers(0, 30_000, n))
        columns = [rng.integers(0, side, n) for side in (34, 34, 2)]
        samples.append(make_events(times, *columns))
    path = tmp_path / "events.npz"
    np.savez(path, **{f"sample{i}": sample for i, sample in enumerate(samples)})
    return path


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.pt"
    save_network(small_network(norm=True), path)
    return path


def run(model_file, recordings, **settings):
    model = read_model(model_file, input_shape=SHAPE)
    dataset = open_dataset(recordings)
    with open_board("twin") as board:
        chosen = ChosenBoard(board, "twin")
        return deploy(model, dataset, chosen, settings=DeploySettings(**settings))


def stopping_after(n_samples):
    """Return a progress function that interrupts once so many samples were played."""

    def progress(step):
        if step.stage == SAMPLES and step.done >= n_samples:
            raise KeyboardInterrupt

    return progress


def test_a_network_with_batch_norm_is_the_reference_as_it_was_given(model_file, recordings):
    deployment = run(model_file, recordings)
    assert set(deployment.recordings) == {"torch", "folded", "eight-bit", "twin"}
    assert deployment.report.run.folding.layers[0].norms == ("norm1",)
    given = network_spikes(small_network(norm=True), recordings, bins=10)
    np.testing.assert_array_equal(deployment.recordings["torch"].counts(-1)[:, :, 0, 0], given)
    assert not np.array_equal(
        deployment.recordings["torch"].counts(0), deployment.recordings["folded"].counts(0)
    )


def network_spikes(network, recordings, *, bins):
    """Return the (sample, class) output of a network at tonic's frames, one sample a pass."""
    to_frame = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=bins)
    found = []
    with np.load(recordings) as archive:
        for name in sorted(archive.files):
            sample = archive[name]
            frames = to_frame(sample).astype(np.float32)
            # tonic drops what lies beyond the last whole bin; here it counts in the last one
            whole = (sample["t"].max() - sample["t"].min()) // bins * bins
            for event in sample[sample["t"] - sample["t"].min() >= whole]:
                frames[-1, event["p"], event["y"], event["x"]] += 1
            for module in network.modules():
                if hasattr(module, "reset_states"):
                    module.reset_states()
            with torch.no_grad():
                found.append(network(torch.from_numpy(frames)).sum(0).numpy())
    return np.array(found)


def test_each_step_from_the_trained_network_to_the_twin_is_in_the_ladder(model_file, recordings):
    report = run(model_file, recordings).report
    assert [rung.step for rung in report.steps.ladder] == ["trained", "folded", "eight-bit", "twin"]
    assert [rung.before for rung in report.steps.ladder] == [None, "trained", "folded", "eight-bit"]
    text = render_text(report)
    assert "as trained" in text
    assert "speckflex fold" in text
    assert "--method mtt" in text


def test_a_network_that_needs_no_folding_has_no_step_for_it(recordings, tmp_path):
    save_network(small_network(), tmp_path / "plain.pt")
    report = run(tmp_path / "plain.pt", recordings).report
    assert [rung.step for rung in report.steps.ladder] == ["trained", "eight-bit", "twin"]


def test_at_a_low_rate_input_is_lost_and_its_accuracy_stands_beside_the_others(
    model_file, recordings
):
    report = run(model_file, recordings, rate=1e4).report
    stated = report.core_loads.at_rate
    assert stated.synops_per_second == report.core_loads.load_rate == 1e4
    assert 0 < stated.lost < stated.input_events
    assert "With cores that do 0.01 M SynOps/s, the twin loses" in report.verdict
    assert "conv1 is asked for" in report.verdict
    generous = run(model_file, recordings, rate=1e12).report
    assert generous.core_loads.at_rate.lost == 0
    assert run(model_file, recordings).report.core_loads.at_rate is None


def test_a_silent_network_is_named_in_the_first_line_and_passes_no_bar(recordings, tmp_path):
    save_network(small_network(gain=1e-3), tmp_path / "silent.pt")
    bars = Bars(max_spike_difference=10.0)
    report = run(tmp_path / "silent.pt", recordings, bars=bars).report
    assert report.silent_layers == ("conv1", "linear")
    assert report.verdict.startswith("Layers conv1, linear never spike on the twin")
    assert report.spike_difference is None
    assert all(layer.cosine is None for layer in report.layers)
    assert report.agreement == 0
    assert not report.passed
    assert "neither recording has a spike" in report.missed[0]
    assert "equal" not in report.verdict
    assert [rung.spike_difference for rung in report.steps.ladder] == [None] * 3


def test_batches_do_not_change_what_is_recorded(model_file, recordings):
    one = run(model_file, recordings, batch=1).recordings
    all_at_once = run(model_file, recordings, batch=32).recordings
    for name, recording in one.items():
        np.testing.assert_array_equal(recording.counts(-1), all_at_once[name].counts(-1))


def test_long_runs_keep_the_spikes_of_the_first_samples_alone(model_file, recordings):
    twin = run(model_file, recordings, batch=2, events_of=3).recordings["twin"]
    assert len(twin.layer(0).events) == 4
    assert twin.n_samples == 7


def test_recordings_that_run_backwards_are_warned_of_and_played_as_they_are(
    model_file, recordings, tmp_path
):
    with np.load(recordings) as archive:
        samples = dict(archive)
    late = samples["sample1"]
    late["t"][[5, 9]] = 0
    samples["sample4"]["t"][7] = 0
    np.savez(tmp_path / "late.npz", **samples)
    deployment = run(model_file, tmp_path / "late.npz", batch=3)
    (warning,) = deployment.report.run.data.warnings
    assert "late.npz (sample1): 2 of" in warning
    assert "the first is event 5; the same in 1 more recording:" in warning
    assert f"warning: {warning}" in render_text(deployment.report)
    assert warning.partition(": ")[2] in html.unescape(render_html(deployment.report))
    with open_board("twin") as board:
        board.load(deployment.model.program)
        as_it_stands = board.play(late).counts(0)[0]
    np.testing.assert_array_equal(deployment.recordings["twin"].counts(0)[1], as_it_stands)


def test_recordings_in_order_are_not_warned_of(model_file, recordings):
    assert run(model_file, recordings).report.run.data.warnings == ()


def test_a_program_alone_is_played_without_torch(model_file, recordings, tmp_path):
    program = tmp_path / "model.speck"
    read_model(model_file, input_shape=SHAPE).program.save(program)
    deployment = run(program, recordings)
    assert set(deployment.recordings) == {"twin"}
    assert deployment.report.accuracies.accuracy["torch"] is None


def test_a_program_is_deployed_to_all_files_of_a_report_where_torch_is_missing(
    model_file, recordings, tmp_path
):
    read_model(model_file, input_shape=SHAPE).program.save(tmp_path / "model.speck")
    arguments = ["deploy", tmp_path / "model.speck", "--data", recordings, "--board", "twin"]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from speckflex.cli import main\n"
        f"main({[*map(str, arguments), '--out', str(tmp_path / 'out')]!r})\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_interrupt_keeps_what_was_played_until_then(model_file, recordings):
    with open_board("twin") as board:
        deployment = deploy(
            read_model(model_file, input_shape=SHAPE),
            open_dataset(recordings),
            ChosenBoard(board, "twin"),
            settings=DeploySettings(batch=2),
            progress=stopping_after(4),
        )
    assert deployment.interrupted
    assert deployment.report.run.interrupted
    assert deployment.report.samples == 4


def test_the_folder_holds_what_ran_what_came_out_and_the_report(model_file, recordings, tmp_path):
    deployment = run(model_file, recordings)
    written = deployment.save(tmp_path / "out" / "with space")
    assert all(path.is_file() for path in written)
    folder = tmp_path / "out" / "with space"
    program = Program.load(folder / "program.speck")
    report = json.loads((folder / "report.json").read_text())
    assert report["program"]["sha256"] == program.sha256
    twin = Recording.load(folder / "recording-twin.h5")
    np.testing.assert_array_equal(twin.counts(-1), deployment.recordings["twin"].counts(-1))
    described = describe_file(folder)
    assert described["kind"] == "run"
    assert described["sha256"] == program.sha256
    assert set(described["files"]) == {path.name for path in written}
    drawn = write_figures(folder, tmp_path / "figures")
    names = {path.name for path in drawn}
    assert names == {
        f"{n}.{f}" for n in ("layers", "load", "output", "first-layer") for f in FORMATS
    }
    again = write_figures(folder, tmp_path / "again", formats=["svg"])
    for path in again:
        assert path.read_bytes() == (tmp_path / "figures" / path.name).read_bytes()
        assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314


def test_progress_on_a_devkit_is_told_sample_by_sample_and_in_batches_on_a_twin(
    model_file, recordings
):
    model, dataset = read_model(model_file, input_shape=SHAPE), open_dataset(recordings)
    told = {}
    for name in ("virtual:speck2e", "twin"):
        steps = told[name] = []
        with open_board(name) as board:
            settings = DeploySettings(batch=4, threads=1)
            chosen = ChosenBoard(board, name)
            deploy(model, dataset, chosen, settings=settings, progress=steps.append)
    played = {
        name: [step.done for step in steps if step.stage == SAMPLES] for name, steps in told.items()
    }
    assert played == {"virtual:speck2e": [1, 2, 3, 4, 5, 6, 7], "twin": [4, 7]}
    for stage in ("torch network", "twin"):
        counts = [step.done for step in told["twin"] if step.stage == stage]
        assert counts == sorted(counts)
        assert counts[-1] == 7
    # the twin tells of fewer samples than a batch has
    assert {step.done for step in told["twin"] if step.stage == "twin"} == {0, 2, 4, 6, 7}


def test_the_main_job_takes_names_networks_and_events(model_file, recordings):
    network, dataset = load_network(model_file), open_dataset(recordings)
    settings = sf.DeploySettings(input_shape=SHAPE)
    by_name = sf.deploy(model_file, recordings, "twin", settings=settings)
    in_memory = sf.deploy(network, [e for e, _ in dataset], "twin", settings=settings)
    program = sf.deploy(in_memory.model.program, dataset, "twin", samples=2)
    assert by_name.report.samples == in_memory.report.samples == 7
    assert by_name.model.program.sha256 == in_memory.model.program.sha256
    counts = [one.recordings["twin"].counts(-1) for one in (by_name, in_memory)]
    np.testing.assert_array_equal(*counts)
    assert program.report.samples == 2
    assert set(program.recordings) == {"twin"}


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("n_played", [1, 3, 6])
def test_an_interrupt_on_a_devkit_keeps_every_sample_that_progress_was_told_of(
    model_file, recordings, n_played, repeat
):
    model, dataset = read_model(model_file, input_shape=SHAPE), open_dataset(recordings)
    settings = DeploySettings(batch=4, events_of=4, repeat=repeat)
    with open_board("virtual:speck2e") as board:
        chosen = ChosenBoard(board, board.name)
        whole = deploy(model, dataset, chosen, settings=settings).recordings
        stop = stopping_after(n_played)
        stopped = deploy(model, dataset, chosen, settings=settings, progress=stop)
    assert stopped.interrupted
    assert stopped.report.samples == n_played
    assert stopped.recordings.keys() == whole.keys()
    for name, recording in stopped.recordings.items():
        expected = whole[name].part(0, n_played)
        np.testing.assert_array_equal(recording.counts(0), expected.counts(0))
        np.testing.assert_array_equal(recording.labels, expected.labels)
        assert recording.samples == expected.samples
        assert len(recording.layer(0).events or ()) == len(expected.layer(0).events or ())


def test_an_interrupt_while_a_devkit_plays_keeps_the_samples_before(
    model_file, recordings, monkeypatch
):
    def play(events, **options):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return play_on_board(events, **options)

    calls = 0
    model, dataset = read_model(model_file, input_shape=SHAPE), open_dataset(recordings)
    with open_board("virtual:speck2e") as board:
        play_on_board = board.play
        monkeypatch.setattr(board, "play", play)
        deployment = deploy(model, dataset, ChosenBoard(board, board.name))
    # the third sample was played once of twice
    assert {one.n_samples for one in deployment.recordings.values()} == {2}


def test_an_interrupt_before_the_first_sample_is_played_leaves_nothing_to_report(
    model_file, recordings, monkeypatch
):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    model, dataset = read_model(model_file, input_shape=SHAPE), open_dataset(recordings)
    with open_board("virtual:speck2e") as board:
        monkeypatch.setattr(board, "play", stop)
        with pytest.raises(KeyboardInterrupt):
            deploy(model, dataset, ChosenBoard(board, board.name))


def test_a_virtual_devkit_is_compared_with_torch_with_its_twin_and_with_itself(
    model_file, recordings, tmp_path
):
    dataset = open_dataset(recordings)
    with open_board("virtual:speck2e") as board:
        chosen = ChosenBoard(board, "virtual:speck2e")
        deployment = deploy(read_model(model_file, input_shape=SHAPE), dataset, chosen)
    played = deployment.recordings
    assert {"torch", "twin", "chip", "repeat"} <= played.keys()
    for other in ("twin", "repeat"):
        for layer in range(2):
            np.testing.assert_array_equal(played["chip"].counts(layer), played[other].counts(layer))
    assert deployment.report.board == "virtual:speck2e"
    assert deployment.report.lost_events == 0
    assert (tmp_path / "out" / "recording-repeat.h5") in deployment.save(tmp_path / "out")


def test_a_board_is_played_once_where_its_noise_floor_is_not_wanted(model_file, recordings):
    with open_board("virtual:speck2e") as board:
        deployment = deploy(
            read_model(model_file, input_shape=SHAPE),
            open_dataset(recordings),
            ChosenBoard(board, "virtual:speck2e"),
            settings=DeploySettings(repeat=False),
        )
    assert "repeat" not in deployment.recordings


def test_a_session_on_a_board_is_deployed_again_from_its_recording(
    model_file, recordings, tmp_path
):
    model, dataset = read_model(model_file, input_shape=SHAPE), open_dataset(recordings)
    with open_board("virtual:speck2e") as board:
        first = deploy(model, dataset, ChosenBoard(board, board.name))
    first.save(tmp_path)
    with open_board(f"replay:{tmp_path / 'recording-chip.h5'}") as board:
        again = deploy(model, dataset, ChosenBoard(board, board.name))
    assert again.report.spike_difference == first.report.spike_difference
    assert "repeat" not in again.recordings


def test_a_missing_chip_is_replaced_by_its_twin_and_said(monkeypatch):
    chosen = choose_board("speck2e")
    with chosen.board:
        assert chosen.board.kind == "twin"
        assert "no speck2e is attached" in chosen.note


def test_a_required_chip_that_is_missing_is_an_error():
    with pytest.raises(BoardNotFoundError, match="speck2f"):
        choose_board("speck2f", require_chip=True)


def test_a_twin_does_not_count_as_the_required_chip():
    with pytest.raises(BoardNotFoundError, match="'twin' is no chip"):
        choose_board("twin", require_chip=True)


def test_recordings_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    save_network(small_network(), path)
    events = make_events(*(np.zeros(3, int) for _ in range(4)))
    np.save(tmp_path / "other.npy", events)
    dataset = open_dataset(tmp_path / "other.npy").on_sensor((2, 16, 16))
    model = read_model(path, input_shape=SHAPE)
    with open_board("twin") as board, pytest.raises(EventsError, match="shape"):
        deploy(model, dataset, ChosenBoard(board, "twin"))


def test_a_virtual_devkit_in_the_chips_place_is_never_called_the_chip(model_file, recordings):
    from speckflex.report import render_html, render_markdown, render_text

    model = read_model(model_file, input_shape=SHAPE)
    with open_board("virtual:speck2e") as board:
        report = deploy(
            model, open_dataset(recordings)[:2], ChosenBoard(board, "virtual:speck2e")
        ).report
    for render in (render_text, render_markdown, render_html):
        page = render(report)
        assert "the virtual devkit" in page.lower()
        assert "the chip is right" not in page
        assert "of the chip against" not in page
