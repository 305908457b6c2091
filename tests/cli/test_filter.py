"""From a network to a board with an event filter, on the command line."""

import json

import pytest
from click.testing import CliRunner
from networks_of_tests import small_network

from speckflex.cli import main
from speckflex.networks.files import save_network
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.recordings.recording import Recording

DATA = ("--data", "synthetic-digits", "--samples", "2")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    save_network(small_network(), path)
    return path


@pytest.fixture(scope="module")
def filtering(model_file):
    """A program with a filter."""
    path = model_file.with_name("filtering.speck")
    shape = ("--input-shape", "2,34,34")
    result = run("convert", model_file, *shape, "--out", path, "--event-filter", "noise,2")
    assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("noise", EventFilter()),
        ("hot-pixel,15", EventFilter("noise and hot pixels", window=15)),
        ("noise,3,2x0", EventFilter("noise", (2, 0), 3)),
        ("low-pass,4", EventFilter("low pass", window=4)),
    ],
)
def test_a_filter_is_named_by_mode_ticks_and_size(model_file, tmp_path, text, rule):
    out = tmp_path / "out.speck"
    result = run(
        "convert", model_file, "--input-shape", "2,34,34", "--out", out, "--event-filter", text
    )
    assert result.exit_code == 0, result.output
    assert Program.load(out).input.event_filter == rule


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("loud", "is no filter: give noise"),
        ("noise,3,2", "is no filter"),
        ("noise,65536", "window 65536"),
        ("noise,0", "window 0"),
        ("noise,1,999x1", "size (999, 1)"),
    ],
)
def test_a_filter_that_is_none_exits_2(model_file, tmp_path, text, part):
    out = tmp_path / "out.speck"
    result = run(
        "convert", model_file, "--input-shape", "2,34,34", "--out", out, "--event-filter", text
    )
    assert result.exit_code == 2
    assert part in result.stderr
    assert not out.exists()


def test_without_a_slow_clock_every_command_says_what_is_missing(filtering):
    for command in (
        ("deploy", filtering, "--board", "twin", *DATA),
        ("deploy", filtering, "--board", "virtual:speck2e", *DATA),
        ("check", filtering, *DATA),
    ):
        result = run(*command)
        assert result.exit_code == 1
        error = result.stderr.strip().splitlines()[-1]
        assert error.startswith("Error: the program's event filter counts ticks of the slow clock")


@pytest.mark.parametrize("board", ["twin", "virtual:speck2f"])
def test_with_a_slow_clock_a_filter_is_deployed(filtering, board, tmp_path):
    clock = ("--slow-clock", "500")
    out = tmp_path / "out"
    result = run("deploy", filtering, "--board", board, *DATA, *clock, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    program = Program.load(out / "program.speck")
    assert program.input.event_filter == EventFilter(window=2)
    twin = Recording.load(out / "recording-twin.h5")
    assert twin.provenance.settings["slow_clock_period"] == "2000"
    if board != "twin":
        # ticks of 2 ms fall together with the start of a sample on either
        assert report["spike_difference"] == 0


def test_an_ensemble_and_a_check_have_the_slow_clock_too(filtering):
    clock = ("--slow-clock", "500")
    arguments = ("--board", "twin", *DATA, "--ensemble", "2", "--json")
    report = json.loads(run("deploy", filtering, *arguments, *clock).stdout)
    assert report["ensemble"]["plays"] == 2
    assert report["ensemble"]["samples"] == 2
    result = run("check", filtering, *DATA, *clock)
    assert result.exit_code == 0, result.output
    assert "event filter" in result.stdout or "pass a filter" in result.stdout
    assert "synaptic operations" in result.stdout


def test_a_filter_changes_what_the_twin_counts(filtering, model_file, tmp_path):
    counts = []
    plain = tmp_path / "plain.speck"
    run("convert", model_file, "--input-shape", "2,34,34", "--out", plain)
    for name, program in (("plain", plain), ("filtering", filtering)):
        out = tmp_path / name
        run("deploy", program, "--board", "twin", *DATA, "--slow-clock", "500", "--out", out)
        counts.append(Recording.load(out / "recording-twin.h5").counts(0).sum())
    assert 0 < counts[1] < counts[0]
