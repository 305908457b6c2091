"""Ctrl-C in commands that take long: one line, exit code 130, and what was computed is kept."""

import json
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from networks_of_tests import small_network

from speckflex.cli import main
from speckflex.cli.interrupts import interrupt_again
from speckflex.conversion.convert import convert
from speckflex.networks.files import load_network, save_network

DATA = ("--data", "synthetic-digits")
TIMEOUT = 120.0


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program, so that the commands don't load torch."""
    path = tmp_path_factory.mktemp("program") / "p.speck"
    convert(small_network(), (2, 34, 34)).save(path)
    return path


def start(*arguments):
    """Start a command as a user does."""
    code = "from speckflex.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_line(process, part):
    """Read standard output until a line holds that part."""
    for line in process.stdout:
        if part in line:
            return
    raise AssertionError(f"no line with {part!r}: {process.stderr.read()}")


def interrupt(process, *, times=1):
    """Press Ctrl-C, and again shortly after; return the last lines of standard error."""
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=TIMEOUT)
    return process.returncode, errors


def assert_ended_in_one_line(code, errors, start_of_line):
    assert code == 130, errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    *progress, line = errors.strip().splitlines()
    assert line.startswith(f"Error: {start_of_line}")
    assert all(re.search(r" \(\d+ s\)$|\d+ of \d+", stage) for stage in progress), errors


@pytest.mark.parametrize(("board", "times"), [("twin", 1), ("twin", 5), ("virtual:speck2e", 2)])
def test_a_deployment_ends_in_one_line_however_often_it_is_interrupted(program, board, times):
    process = start("deploy", program, "--board", board, *DATA, "--ensemble", "1000")
    wait_for_line(process, f"board: {board}")
    assert_ended_in_one_line(*interrupt(process, times=times), "interrupted")


def test_a_check_has_shown_its_table_before_it_is_interrupted(program):
    process = start("check", program, *DATA)
    wait_for_line(process, "fits speck2e")
    assert_ended_in_one_line(*interrupt(process, times=2), "interrupted")


def test_a_training_keeps_its_best_network_and_its_checkpoint(tmp_path):
    out, metrics = tmp_path / "a.pt", tmp_path / "m.jsonl"
    size = ("--samples", "40", "--width", "4", "--t", "2", "--epochs", "10000")
    process = start("train", *DATA, *size, "--out", out, "--metrics", metrics)
    deadline = time.monotonic() + TIMEOUT
    while not (metrics.is_file() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    code, errors = interrupt(process)
    assert_ended_in_one_line(code, errors, "interrupted after epoch")
    assert f"continue with --resume {out}.checkpoint" in errors
    assert load_network(out)
    assert (tmp_path / "a.pt.checkpoint").is_file()


def test_a_training_without_an_epoch_ends_with_the_code_of_an_interrupt(monkeypatch, tmp_path):
    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("speckflex.training._loop.train_epoch", stop)
    out = tmp_path / "a.pt"
    result = CliRunner().invoke(main, ["train", *DATA, "--samples", "40", "--out", str(out)])
    assert result.exit_code == 130
    assert result.stderr.startswith("Error: interrupted in epoch 1")
    assert not out.exists()


def test_what_was_played_outlives_an_interrupt_of_the_ensemble(program, tmp_path, monkeypatch):
    def stop(*_arguments, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("speckflex.deployment._outlook.play_ensemble", stop)
    out = tmp_path / "out"
    arguments = ["deploy", str(program), "--board", "twin", *DATA, "--samples", "3"]
    result = CliRunner().invoke(main, [*arguments, "--ensemble", "2", "--out", str(out)])
    assert result.exit_code == 130
    report = json.loads((out / "report.json").read_text())
    assert (report["interrupted"], report["samples"]) == (True, 3)
    assert report["load"]
    assert "ensemble" not in report
    assert (out / "recording-twin.h5").is_file()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("speckflex.recordings.recording.Recording.load", ("compare", "PROGRAM", "OTHER")),
        ("speckflex.networks.files.load_network", ("fold", "PROGRAM", "--out", "OUT")),
        ("tonic.datasets.NMNIST", ("deploy", "PROGRAM", "--data", "nmnist", "--download")),
        ("speckflex.boards.doctor.diagnose", ("doctor",)),
    ],
)
def test_an_interrupt_anywhere_is_one_line(program, tmp_path, monkeypatch, function, arguments):
    def stop(*_arguments, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stop)
    other = tmp_path / "other"
    other.write_text("")
    places = {"PROGRAM": str(program), "OTHER": str(other), "OUT": str(tmp_path / "out.pt")}
    result = CliRunner().invoke(main, [places.get(part, part) for part in arguments])
    assert_ended_in_one_line(result.exit_code, result.stderr, "interrupted")


def test_an_interrupt_that_falls_where_nothing_can_be_raised_comes_again():
    def lose_one():
        interrupt_again(SimpleNamespace(exc_type=KeyboardInterrupt))
        time.sleep(TIMEOUT)

    with pytest.raises(KeyboardInterrupt):
        lose_one()


def test_a_failure_after_an_interrupt_that_a_library_took_for_its_own_has_its_code(tmp_path):
    script = tmp_path / "swallow.py"
    script.write_text(
        "import os, signal, click\n"
        "from contextlib import suppress\n"
        "from speckflex.cli.interrupts import quiet_interrupts\n"
        "@click.command()\n"
        "@click.argument('number', type=int)\n"
        "def command(number):\n"
        "    with suppress(KeyboardInterrupt):\n"
        "        os.kill(os.getpid(), number)\n"
        "    raise click.ClickException('a graph is empty')\n"
        "with quiet_interrupts():\n"
        "    command()\n"
    )
    # signal 0 is none
    for number, code in ((int(signal.SIGINT), 130), (0, 1)):
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, script, str(number)], capture_output=True, text=True, check=False
        )
        assert done.returncode == code
        assert done.stderr == "Error: a graph is empty\n"


def test_other_errors_where_nothing_can_be_raised_are_told(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    found = SimpleNamespace(exc_type=ValueError)
    interrupt_again(found)
    assert told == [found]


def test_an_interrupted_write_leaves_no_half_file(program, tmp_path, monkeypatch):
    from speckflex.program.program import Program

    loaded = Program.load(program)

    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        loaded.save(tmp_path / "p.speck")
    assert not list(tmp_path.iterdir())


def test_networks_are_whole_or_absent_after_an_interrupt(tmp_path, monkeypatch):
    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        save_network(small_network(), tmp_path / "net.pt")
    assert not (tmp_path / "net.pt").exists()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rate", [None, 1e12])
def test_a_play_that_would_never_end_can_be_interrupted(tmp_path, threads, rate):
    """Each neuron fires on each event: 96 to the power of four spikes for one of them."""
    script = tmp_path / "flood.py"
    script.write_text(
        "import _thread, threading\n"
        "import numpy as np\n"
        "from speckflex.twin.settings import TwinSettings\n"
        "from speckflex.boards.twin import Twin\n"
        "from speckflex.events import make_events\n"
        "from speckflex.program import Core, Destination, InputStage, Program\n"
        "def core(name, n_in, targets):\n"
        "    weights = np.full((96, n_in, 1, 1), 127)\n"
        "    return Core(name, weights, 1, -1, (n_in, 1, 1), destinations=targets)\n"
        "sizes, last = (1, 96, 96, 96), 3\n"
        "cores = [core(f'c{i}', n, (Destination(i + 1),) if i < last else ())"
        " for i, n in enumerate(sizes)]\n"
        "program = Program(tuple(cores), InputStage((1, 1, 1)), chip='unbounded')\n"
        f"twin = Twin(threads={threads}, settings=TwinSettings(synops_per_second={rate}))\n"
        "twin.load(program)\n"
        "events = make_events(np.arange(8000), *np.zeros((3, 8000), int))\n"
        "twin.play(events[:1])\n"
        "threading.Timer(1.0, _thread.interrupt_main).start()\n"
        "try:\n"
        "    twin.play([events, events], keep_events=False)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert done.stdout == "interrupted\n", done.stderr
