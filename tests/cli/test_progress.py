"""Progress: a pipe gets a line now and then, a terminal gets bars."""

import os
import pty
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from speckflex.cli import info, progress
from speckflex.cli.progress import progress_bar, show_stages, stage
from speckflex.cli.training_run import _training_bar
from speckflex.deployment.progress import Progress
from speckflex.training.metrics import Progress as TrainingProgress


@pytest.fixture
def impatient(monkeypatch):
    """Lines come after hundredths of a second."""
    monkeypatch.setattr(progress, "FIRST_LINE", 0.02)
    monkeypatch.setattr(progress, "SECOND_LINE", 0.02)


def wait_for(capsys, text):
    """Return what was written to standard error, once the text is in it."""
    written = ""
    for _ in range(200):
        written += capsys.readouterr().err
        if text in written:
            return written
        time.sleep(0.02)
    raise AssertionError(written)


def test_a_pipe_is_told_of_a_stage_that_takes_long_once(capsys, impatient):
    with stage("loading net.pt"):
        written = wait_for(capsys, "loading net.pt")
        time.sleep(0.1)
    written += capsys.readouterr().err
    assert written.count("loading net.pt") == 1


def test_a_stage_can_be_followed_by_another_one(capsys, impatient):
    with stage("loading net.pt") as tell:
        wait_for(capsys, "loading net.pt")
        tell("folding net.pt")
        wait_for(capsys, "folding net.pt")


def test_a_training_in_a_pipe_tells_its_epoch_and_loss(capsys, impatient):
    with _training_bar() as watch:
        watch(TrainingProgress(2, 7, 12, 0.5, 0.25, 0.75))
        wait_for(
            capsys,
            "training, epoch 2, loss 0.500, accuracy 25.0%, validation 75.0%, step: 7 of 12",
        )


def test_a_pipe_is_told_nothing_of_what_is_quick(capsys):
    with show_stages() as watch:
        watch(Progress("twin", 1, 2))
    assert capsys.readouterr().err == ""


def test_a_pipe_is_told_how_many_are_done(capsys, impatient):
    with progress_bar("reading", 10) as advance:
        advance(3)
        wait_for(capsys, "reading: 3 of 10")


def test_a_pipe_is_told_that_a_file_is_being_read_for_its_facts(tmp_path, monkeypatch, impatient):
    def describe_slowly(_):
        time.sleep(0.3)
        return {"kind": "network", "layers": [], "provenance": {}}

    monkeypatch.setattr("speckflex.deployment.describe.describe_file", describe_slowly)
    (tmp_path / "net.pt").touch()
    result = CliRunner().invoke(info.command, [str(tmp_path / "net.pt")])
    assert "loading net.pt" in result.stderr
    assert "kind: network" in result.stdout


def test_a_terminal_sees_the_stages_and_their_counts(tmp_path):
    script = tmp_path / "show.py"
    script.write_text(
        "import time\n"
        "from speckflex.cli.progress import show_stages\n"
        "from speckflex.deployment.progress import Progress\n"
        "with show_stages() as watch:\n"
        "    watch(Progress('load of [/b]\\x07 the cores'))\n"
        "    for done in range(3):\n"
        "        watch(Progress('twin', done, 3))\n"
        "        watch(Progress('samples', done, 3))\n"
        "    time.sleep(0.3)\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, str(script)], stderr=theirs, env=environment) as running:  # noqa: S603
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other end is closed
            pass
        assert running.wait() == 0
    os.close(ours)
    assert b"twin" in shown
    assert b"2/3" in shown
    # no markup, no control character: a layer may have any name
    assert b"load of [/b]" in shown
    assert b"\x07" not in shown
    assert b"samples" not in shown
