"""`speckflex.finetune`, what it calls after each epoch, and the loggers of a training."""

import csv
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from lightning_fabric import Fabric
from torch import nn

import speckflex as sf
from speckflex.cli import finetune as command
from speckflex.cli import main
from speckflex.data import EventDataset
from speckflex.errors import MissingExtraError, TrainingError
from speckflex.events.streams import as_events, make_events
from speckflex.training import EpochMetrics, TrainingSettings, open_fabric
from speckflex.training.loggers import closing_loggers, open_loggers
from speckflex.training.pipeline import new_network
from speckflex.training.settings import FINETUNING

SETTINGS = TrainingSettings(method="mtt", t_max=3, epochs=2, batch_size=4, validation_share=0.25)


@pytest.fixture(scope="module")
def recordings():
    """Eight recordings of two classes, 9 x 9."""
    rng = np.random.default_rng(4)
    items = []
    for _ in range(8):
        x, y, p = rng.integers(0, (9, 9, 2), (80, 3)).T
        items.append(make_events(np.sort(rng.integers(0, 5000, 80)), x, y, p))
    return EventDataset(
        name="made up",
        shape=(2, 9, 9),
        classes=("a", "b"),
        labels=np.arange(8) % 2,
        synthetic=True,
        items=tuple(items),
        read=as_events,
    )


@pytest.fixture(scope="module")
def network():
    return new_network("nmnist-3c1fc", seed=0, input_shape=(2, 9, 9), n_classes=2, width=4)


def test_a_function_is_called_with_what_each_epoch_measured(network, recordings):
    seen: list[EpochMetrics] = []
    result = sf.finetune(network, recordings, SETTINGS, on_epoch_end=seen.append)
    assert seen == list(result.history)
    assert [metrics.epoch for metrics in seen] == [1, 2]
    assert isinstance(result.network, nn.Module)


def test_an_error_of_the_function_ends_the_training(network, recordings):
    class EnoughError(Exception):
        pass

    def stop(metrics: EpochMetrics) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        sf.finetune(network, recordings, SETTINGS, on_epoch_end=stop)


def test_a_model_is_folded_and_tuned_from_its_file(network, recordings, tmp_path):
    normed = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), *list(network)[1:2])
    torch.save(normed, tmp_path / "a.pt")
    folded = sf.fold(tmp_path / "a.pt")
    assert not [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert sf.fold(normed)[0].bias is None
    with pytest.raises(sf.SpeckflexError, match="adds a constant"):
        sf.finetune(tmp_path / "a.pt", recordings, SETTINGS)


def test_the_settings_of_the_function_are_the_defaults_of_the_command():
    assert main.get_command(None, "finetune") is command.command
    defaults = {option.name: option.default for option in command.command.params}
    for name, value in asdict(FINETUNING).items():
        if name not in ("batch_norm_mode", "clip_weights"):  # of the method
            assert defaults[name] == value, name


def test_both_commands_limit_the_gradient():
    """A few batches had gradients so long that the training lost what it had learnt."""
    for name in ("train", "finetune"):
        found = main.get_command(None, name)
        (option,) = [option for option in found.params if option.name == "clip_gradient"]
        assert option.default == 1.0


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ([], 3e-3),
        (["--method", "mtt"], 1e-3),
        (["--synops-weight", "0"], 1e-3),
        (["--synops-weight", "0", "--lr", "0.5"], 0.5),
    ],
)
def test_the_rate_of_the_command_is_low_where_spikes_have_no_price(
    words, rate, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(command, "_load", lambda *_: (None, None))
    monkeypatch.setattr(command, "run_training", lambda options, *_, **__: seen.append(options))
    (tmp_path / "a.pt").touch()
    line = [str(tmp_path / "a.pt"), "--data", "none", "-o", str(tmp_path / "b.pt"), *words]
    result = CliRunner().invoke(command.command, line)
    assert result.exit_code == 0, result.output
    assert [options["learning_rate"] for options in seen] == [rate]


def test_a_logger_keeps_what_each_epoch_measured(network, recordings, tmp_path):
    loggers = open_loggers(("csv", "csv"), tmp_path, SETTINGS)
    fabric = open_fabric(loggers=loggers)
    assert isinstance(fabric, Fabric)
    for _ in range(2):  # the second training replaces the log of the first
        with closing_loggers(loggers):
            result = sf.finetune(network, recordings, SETTINGS, fabric=fabric)
        loggers = open_loggers(("csv",), tmp_path, SETTINGS)
        fabric = open_fabric(loggers=loggers)
    with Path(tmp_path / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [each.loss for each in result.history]
    assert [row["step"] for row in rows] == ["1", "2"]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_that_is_missing_names_its_extra(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"logger {name} .*pip install 'speckflex\["):
        open_loggers((name,), tmp_path, SETTINGS)


def test_a_logger_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="choose one of csv, tensorboard, wandb"):
        open_loggers(("tensor",), tmp_path, SETTINGS)
