"""The command line: exit codes, one-line errors, and figures that machines can read."""

import errno
import json
from contextlib import contextmanager

import click
import numpy as np
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network

from speckflex.cli import COMMANDS, main
from speckflex.cli.tables import echo_table
from speckflex.networks.files import load_network, save_network
from speckflex.program.program import Program

SHAPE = "2,34,34"
DATA = ("--data", "synthetic-digits", "--samples", "4")


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "my model.pt"
    save_network(small_network(norm=True), path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_fails_in_one_line(result, code, *parts):
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    assert len([line for line in lines if line.startswith("Error")]) == 1
    for part in parts:
        assert part in lines[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_deploy_names_the_board_in_its_first_and_last_line(model_file):
    result = run("deploy", model_file, *DATA)
    assert result.exit_code == 0, result.output
    lines = result.stdout.strip().splitlines()
    assert lines[0] == lines[-1]
    assert lines[0].startswith("board: twin; no speck2e is attached")
    assert "synthetic" in result.stdout


def test_the_board_is_named_before_a_bar_is_drawn(model_file, monkeypatch):
    @contextmanager
    def echoing_bars():
        click.echo("bars")
        yield lambda _progress: None

    monkeypatch.setattr("speckflex.cli.deploy.show_stages", echoing_bars)
    result = run("deploy", model_file, "--board", "twin", *DATA)
    assert result.stdout.splitlines()[:2] == ["board: twin", "bars"]


def test_deploy_prints_one_json_object_and_nothing_else(model_file, tmp_path):
    result = run("deploy", model_file, "--board", "twin", *DATA, "--json", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["schema"] == 2
    assert report["synthetic"] is True
    assert report["samples"] == 4
    assert set(report["accuracy"]) >= {"torch", "twin", "chip"}
    wanted = {
        "name",
        "core",
        "spikes",
        "spike_difference",
        "cosine",
        "synops_per_second_peak",
        "kernel_memory",
        "neuron_memory",
    }
    assert wanted <= set(report["layers"][0])
    assert report["lost_events"] == 0
    assert Program.load(tmp_path / "o" / "program.speck").sha256 == report["program"]["sha256"]


def test_deploy_runs_a_program_again_to_the_same_spikes(model_file, tmp_path):
    first = run("deploy", model_file, *DATA, "--json", "--out", tmp_path / "a")
    second = run("deploy", tmp_path / "a" / "program.speck", *DATA, "--json")
    spikes = [[la["spikes"] for la in json.loads(r.stdout)["layers"]] for r in (first, second)]
    assert spikes[0] == spikes[1]


def test_a_required_chip_that_is_missing_exits_3(model_file):
    result = run("deploy", model_file, *DATA, "--require-chip")
    assert_fails_in_one_line(result, 3, "speck2e")


def test_an_unknown_board_exits_3(model_file):
    assert_fails_in_one_line(run("deploy", model_file, *DATA, "--board", "loihi"), 3, "loihi")


def test_a_missed_bar_exits_4_and_still_writes_the_report(model_file, tmp_path):
    out = tmp_path / "out"
    result = run("deploy", model_file, *DATA, "--min-accuracy", "1.0", "--out", out)
    assert result.exit_code == 4, result.output
    assert "missed: accuracy" in result.stderr
    facts = json.loads((out / "report.json").read_text())
    assert facts["passed"] is False
    # lines of progress may stand before them
    missed = [f"missed: {sentence}" for sentence in facts["missed"]]
    assert missed == result.stderr.splitlines()[-len(missed) :]
    # the run is read again, with the same verdict and the same exit
    again = run("report", out)
    assert again.exit_code == 4
    assert facts["verdict"] in again.stdout
    assert json.loads(run("report", out / "report.json", "--json").stdout) == facts
    assert (out / "report.json").is_file()


def test_deploy_without_recordings_says_what_they_may_be(model_file):
    result = run("deploy", model_file, "--board", "twin")
    assert_fails_in_one_line(result, 2, "no recordings are given", "--data synthetic-digits")


def test_a_folder_without_a_report_is_misuse(tmp_path):
    assert_fails_in_one_line(run("report", tmp_path), 2, "holds no report.json")


def test_a_reached_bar_exits_0(model_file):
    result = run("deploy", model_file, *DATA, "--min-accuracy", "0", "--max-spike-difference", "9")
    assert result.exit_code == 0, result.output


def test_missing_arguments_and_unknown_options_exit_2(tmp_path):
    assert run("deploy").exit_code == 2
    assert run("deploy", tmp_path / "absent.pt").exit_code == 2
    assert run("nonsense").exit_code == 2


@pytest.mark.parametrize("shape", ["2,34", "2,0,34", "a,b,c", "2x34x34x1"])
def test_a_shape_that_is_none_exits_2(model_file, shape):
    assert run("check", model_file, "--input-shape", shape).exit_code == 2


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "empty"), (b"not a model", "model"), (b"PK\x03\x04 cut off", "model")],
)
def test_a_damaged_model_fails_in_one_line(tmp_path, content, part):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert_fails_in_one_line(run("check", path, "--input-shape", SHAPE), 1, part)


def test_fold_writes_a_network_without_bias_and_says_what_it_dropped(model_file, tmp_path):
    out = tmp_path / "folded.pt"
    result = run("fold", model_file, "--out", out, "--input-shape", SHAPE, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["proof_error"] < 1e-6
    assert facts["layers"][0]["layer"] == "conv1"
    assert not [name for name, _ in load_network(out).named_parameters() if "bias" in name]


def test_convert_writes_a_program(model_file, tmp_path):
    out = tmp_path / "model.speck"
    result = run("convert", model_file, "--out", out, "--input-shape", SHAPE, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sha256"] == Program.load(out).sha256


def test_convert_without_a_shape_says_how_to_give_it(model_file, tmp_path):
    result = run("convert", model_file, "--out", tmp_path / "m.speck")
    assert_fails_in_one_line(result, 1, "--input-shape")


def test_check_shows_need_and_have_of_every_layer(model_file):
    result = run("check", model_file, "--input-shape", SHAPE)
    assert result.exit_code == 0, result.output
    assert "fits speck2e" in result.stdout
    table = json.loads(run("check", model_file, "--input-shape", SHAPE, "--json").stdout)
    first = table["layers"][0]
    assert first["kernel_words"] == 2 * 2 ** (4 + 2)
    assert first["neuron_words"] == 4 * 2 ** (5 + 5)
    assert all(
        need <= have
        for need, have in zip(
            (first["kernel_words"], first["neuron_words"], first["bias_words"]),
            first["holds"],
            strict=True,
        )
    )


def test_check_of_a_network_that_is_too_large_exits_1_and_names_the_layer(tmp_path):
    from torch import nn

    network = small_network()
    network.conv1 = nn.Conv2d(2, 4, 3, stride=3, padding=1, bias=False)
    network.linear = nn.Linear(4 * 3 * 3, 10, bias=False)
    path = tmp_path / "stride.pt"
    save_network(network, path)
    result = run("check", path, "--input-shape", "2,36,36")
    assert result.exit_code == 1
    assert "conv1" in result.stdout
    assert "stride" in result.stdout


def test_compare_equals_the_report_of_the_deployment(model_file, tmp_path):
    out = tmp_path / "out"
    report = json.loads(run("deploy", model_file, *DATA, "--json", "--out", out).stdout)
    recordings = (out / "recording-torch.h5", out / "recording-twin.h5")
    result = run("compare", *recordings, "--program", out / "program.speck", "--json")
    assert result.exit_code == 0, result.output
    compared = json.loads(result.stdout)
    for here, there in zip(report["layers"], compared["layers"], strict=True):
        assert here["spike_difference"] == there["spike_difference"]


def test_compare_of_a_recording_with_itself_finds_no_difference(model_file, tmp_path):
    out = tmp_path / "out"
    run("deploy", model_file, *DATA, "--out", out)
    twin = out / "recording-twin.h5"
    again = tmp_path / "again.h5"
    again.write_bytes(twin.read_bytes())
    result = run("compare", twin, again, "--json", "--max-spike-difference", "0")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["spike_difference"] == 0


@pytest.mark.parametrize("form", ["text", "md", "csv", "html"])
def test_compare_writes_every_format(model_file, tmp_path, form):
    out = tmp_path / "out"
    run("deploy", model_file, *DATA, "--out", out)
    target = tmp_path / f"difference.{form}"
    recordings = (out / "recording-torch.h5", out / "recording-twin.h5")
    result = run("compare", *recordings, "--format", form, "--out", target)
    assert result.exit_code == 0, result.output
    assert target.stat().st_size > 100


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [("--input-shape", "2,28,28", "takes events of shape"), ("--network", "vggsnn", "no factory")],
)
def test_options_that_a_program_contradicts_are_refused(model_file, tmp_path, option, value, part):
    program = tmp_path / "a.speck"
    run("convert", model_file, "--input-shape", SHAPE, "--out", program)
    assert_fails_in_one_line(run("check", program, option, value), 1, part)


def test_an_interrupted_deployment_shows_what_was_played_and_exits_130(
    model_file, tmp_path, monkeypatch
):
    @contextmanager
    def stopping_bars():
        def watch(progress):
            if progress.stage == "samples":
                raise KeyboardInterrupt

        yield watch

    monkeypatch.setattr("speckflex.cli.deploy.show_stages", stopping_bars)
    result = run("deploy", model_file, *DATA, "--out", tmp_path / "out")
    assert_fails_in_one_line(result, 130, "interrupted", "4 samples")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["interrupted"]


def test_compare_of_one_file_with_itself_is_misuse(model_file, tmp_path):
    out = tmp_path / "out"
    run("deploy", model_file, *DATA, "--out", out)
    twin = out / "recording-twin.h5"
    result = run("compare", twin, twin)
    assert result.exit_code == 2
    assert "given twice" in result.stderr


@pytest.mark.parametrize("command", [("deploy", "MODEL", *DATA), ("demo",)])
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_played(
    command, model_file, tmp_path
):
    (tmp_path / "file").write_text("")
    arguments = [model_file if part == "MODEL" else part for part in command]
    result = run(*arguments, "--out", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "is not a writable folder" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "MODEL", "--input-shape", SHAPE, "--out"),
        ("fold", "MODEL", "--out"),
        ("train", "--data", "synthetic-digits", "--out"),
        ("train", "--data", "synthetic-digits", "--out", "net.pt", "--metrics"),
    ],
)
def test_a_file_in_a_folder_that_is_not_there_is_refused_before_any_work(
    command, model_file, tmp_path
):
    arguments = [model_file if part == "MODEL" else part for part in command]
    result = run(*arguments, tmp_path / "missing" / "file")
    assert result.exit_code == 2
    assert "is not a writable folder: make it, or choose another" in result.stderr


@pytest.mark.parametrize(
    ("command", "name", "remedy"),
    [
        (
            ("train", "--data", "missing"),
            "net.onnx",
            "an ONNX graph, but a torch network is written",
        ),
        (("finetune", "MODEL", "--data", "missing"), "net.NIR", "a NIR graph"),
        (("train", "--data", "missing"), "net.npy", "end its name in .pt"),
        (("fold", "MODEL"), "net.speck", "a speckflex program"),
        (("convert", "MODEL"), "net.pt", "end its name in .speck"),
    ],
)
def test_the_suffix_of_another_format_is_refused_before_any_work(
    command, name, remedy, model_file, tmp_path
):
    arguments = [model_file if part == "MODEL" else part for part in command]
    result = run(*arguments, "--out", tmp_path / name)
    assert result.exit_code == 2
    assert remedy in result.stderr
    assert "missing" not in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["net.pth", "net", "net.v1"])
def test_a_suffix_that_promises_nothing_else_is_taken(name, model_file, tmp_path):
    assert run("fold", model_file, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(
    "change", [("--jitter", "5"), ("--drop", "0.1"), ("--parallel-window", "3")]
)
def test_changes_without_an_ensemble_to_change_are_misuse(change, model_file):
    result = run("deploy", model_file, *DATA, *change)
    assert result.exit_code == 2
    assert "give --ensemble N too" in result.stderr


def test_the_csv_of_a_comparison_ends_with_its_last_layer(model_file, tmp_path):
    run("deploy", model_file, *DATA, "--out", tmp_path / "out")
    pair = [tmp_path / "out" / f"recording-{role}.h5" for role in ("torch", "twin")]
    result = run("compare", *pair, "--format", "csv")
    assert result.stdout.endswith("\n")
    assert "" not in result.stdout[:-1].split("\n")


def test_an_output_that_cannot_be_written_fails_in_one_line(model_file, monkeypatch):
    def refuse(*_arguments, **_settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("speckflex.cli.tables.echo_table", refuse)
    result = run("check", model_file, "--input-shape", SHAPE)
    assert_fails_in_one_line(result, 1, "No space left on device")


def test_a_narrow_terminal_shows_every_figure_whole(capsys, monkeypatch):
    monkeypatch.setattr("speckflex.cli.tables.WIDTH", 12)
    echo_table(("words", "cores"), [("8192 of 16384", "01234567")])
    shown = capsys.readouterr().out
    assert "…" not in shown


def test_compare_of_one_recording_is_misuse(model_file, tmp_path):
    assert run("compare", model_file).exit_code == 2


def test_a_recording_that_is_none_fails_in_one_line(model_file):
    assert_fails_in_one_line(run("compare", model_file, model_file), 1, "my model.pt")


def test_deploy_of_unlabelled_events_gives_spikes_and_no_accuracy(model_file, tmp_path, rng):
    from speckflex.events.streams import make_events

    times = np.sort(rng.integers(0, 9000, 500))
    columns = [rng.integers(0, side, 500) for side in (34, 34, 2)]
    np.save(tmp_path / "one.npy", make_events(times, *columns))
    arguments = ("--data", tmp_path / "one.npy", "--input-shape", SHAPE, "--json")
    result = run("deploy", model_file, *arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["accuracy"]["twin"] is None
    assert report["layers"][0]["spikes"] > 0


def test_check_with_data_says_whether_each_core_keeps_up(model_file):
    result = run("check", model_file, "--data", "synthetic-digits", "--samples", "2", "--json")
    assert result.exit_code == 0, result.output
    loads = json.loads(result.stdout)["load"]
    assert [load["name"] for load in loads] == ["conv1", "linear"]
    for load in loads:
        waits = max(load["longest_wait"], load["input_wait"])
        assert load["passed"] == (load["verdict"] == "keeps up") == (waits <= 10_000)


def test_an_ensemble_of_unchanged_events_has_no_spread_and_one_with_losses_has(model_file):
    common = ("deploy", model_file, *DATA, "--json", "--ensemble", "2")
    still = json.loads(run(*common).stdout)["ensemble"]
    lossy = json.loads(run(*common, "--drop", "0.2").stdout)["ensemble"]
    assert lossy["layers"][0]["between_plays"][0] > still["layers"][0]["between_plays"][0]
    assert lossy["plays"] == 2


def test_an_ensemble_is_shown_in_the_text(model_file):
    result = run("deploy", model_file, *DATA, "--ensemble", "2", "--jitter", "50")
    assert result.exit_code == 0, result.output
    assert "changed plays of the same samples" in result.stdout
    assert "load of the cores" in result.stdout


@pytest.mark.parametrize("n_events", [0, 1])
def test_a_sparse_recording_plays_on_the_stated_sensor(model_file, tmp_path, n_events):
    from speckflex.events.streams import make_events

    np.save(tmp_path / "few.npy", make_events(*(np.arange(n_events) for _ in range(4))))
    arguments = ("--data", tmp_path / "few.npy", "--input-shape", SHAPE, "--json")
    result = run("deploy", model_file, *arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["layers"][-1]["spikes"] == 0


def test_converting_a_program_is_misuse(model_file, tmp_path):
    run("convert", model_file, "--out", tmp_path / "a.speck", "--input-shape", SHAPE)
    again = run("convert", tmp_path / "a.speck", "--out", tmp_path / "b.speck")
    assert again.exit_code == 2
    assert "a program already" in again.stderr
