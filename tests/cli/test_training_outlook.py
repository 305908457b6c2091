"""The command that `speckflex finetune` ends with reads the recordings as the training did."""

import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from speckflex.cli import main
from speckflex.cli.config import keep_words
from speckflex.cli.training_outlook import Outlook, next_command, outlook_text
from speckflex.deployment.next_step import Losses
from speckflex.training.gain import paired_gain
from speckflex.training.settings import TrainingSettings

IN_TRAINING = Losses(20, 10, 0.5, 0.5, 0.5)
BY_EVENTS = Losses(20, 10, 0.9, 0.9, 0.5, silent_on_twin=3)
MODEL = ("base.pt", "--network", "nmnist-3c1fc", "--vote-by-spikes", "--metrics", "m.jsonl")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a file to name as MODEL; nothing reads it."""
    monkeypatch.chdir(tmp_path)
    Path("base.pt").touch()


def begin(words):
    """Return the context of the command with some words; nothing runs."""
    command = main.get_command(click.Context(main), "finetune")
    return command.make_context("finetune", list(words))


def next_words(losses, settings, *words):
    """Return the words of the next command after a training with some words."""
    words = [*MODEL, "--data", "my folder", "--out", "tuned.pt", *words]
    context = begin(words)
    keep_words(context, list(words))
    with context:
        text = next_command(losses, settings, context.params)
    return None if text is None else shlex.split(text)


def test_the_next_command_goes_on_with_all_options_of_the_training():
    given = shlex.split(
        "--sensor 34x34 --samples 50 --seed 3 --vary drop --no-clip-weights --stream"
    )
    settings = TrainingSettings(method="board", epochs=4)
    words = next_words(IN_TRAINING, settings, *given, "--epochs", "4", "--method", "board")
    first = ["speckflex", "finetune", "tuned.pt", "--data", "my folder", "--method", "board"]
    assert words[:7] == first
    assert words[-4:] == ["--epochs", "8", "--out", "tuned-next.pt"]
    assert sorted(words[7:-4]) == sorted(given)


def test_another_method_takes_the_recordings_and_the_seed_alone():
    settings = TrainingSettings(method="mtt", epochs=4)
    given = "--method mtt --epochs 4 --frame-time 10ms --upsampling copy --crop 30x30 --seed 3"
    words = next_words(BY_EVENTS, settings, *given.split())
    first = ["--data", "my folder", "--method", "board"]
    assert words[3:] == [*first, "--crop", "30x30", "--seed", "3", "--out", "tuned-next.pt"]


def test_after_a_recorded_session_the_twin_goes_on():
    settings = TrainingSettings(method="board", board="replay:run.h5", epochs=1)
    words = next_words(IN_TRAINING, settings, "--board", "replay:run.h5", "--seed", "3")
    assert words[3:-2] == ["--data", "my folder", "--method", "board", "--seed", "3"]


def test_options_of_a_file_are_kept_and_those_of_a_recipe_named(tmp_path):
    (tmp_path / "c.toml").write_text('crop = "30x30"\nseed = 3\neight-bit = true\n')
    settings = TrainingSettings(method="mtt", epochs=20)
    given = ["--recipe", "paper-gesture", "--batch-size", "8", "--config", str(tmp_path / "c.toml")]
    words = next_words(IN_TRAINING, settings, *given)
    kept = words[words.index("mtt") + 1 : words.index("--epochs")]
    named = shlex.split("--recipe paper-gesture --batch-size 8 --crop 30x30 --seed 3 --eight-bit")
    assert sorted(kept) == sorted(named)


def test_nothing_comes_next_where_nothing_is_lost():
    perfect = Losses(20, 10, 0.5, 0.9, 1.0)
    assert next_words(perfect, TrainingSettings(method="board")) is None


@pytest.mark.parametrize(("n_lost", "worse"), [(10, True), (1, False)])
def test_the_end_says_what_became_worse_and_what_is_silent(n_lost, worse):
    before, after = np.ones(20, bool), np.arange(20) >= n_lost
    settings = TrainingSettings(method="mtt")
    with begin(["base.pt", "--data", "d", "--out", "b.pt"]):
        options = {"out": Path("b.pt"), "data": "d"}
        text = outlook_text(Outlook(paired_gain(before, after), BY_EVENTS), settings, options)
    assert ("the network that was given is better" in text) is worse
    assert "3 of 20 recordings get no answer" in text
    assert text.splitlines()[-2].endswith("let the board train:")
