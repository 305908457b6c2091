"""Epochs chosen by what matters on the chip: single events on 8-bit weights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sinabs.layers import IAFSqueeze
from torch import nn

import speckflex as sf
from speckflex.data import EventDataset
from speckflex.errors import TrainingError
from speckflex.events.streams import make_events
from speckflex.training import (
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    cache_frames,
    finetune_network,
    fit,
)

SETTINGS = TrainingSettings(
    t_max=4, epochs=4, batch_size=8, learning_rate=0.05, chosen_by="twin", seed=3
)


def halves(n, seed):
    """Recordings of 40 events in the upper half for class 0, in the lower half for class 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    streams = tuple(
        make_events(
            np.sort(rng.integers(0, 10_000, 40)),
            rng.integers(0, 6, 40),
            3 * label + rng.integers(0, 3, 40),
            np.zeros(40, int),
        )
        for label in labels
    )
    read = streams.__getitem__
    return EventDataset("halves", (1, 6, 6), ("0", "1"), labels, True, tuple(range(n)), read)


@pytest.fixture
def data():
    return TrainingData(cache_frames(halves(40, 1), 4), cache_frames(halves(11, 2), 4))


def network(pool: Callable[[int], nn.Module] = nn.AvgPool2d):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0)),
            pool(2),
            nn.Flatten(),
            nn.Linear(36, 2, bias=False),
            IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0)),
        )


def accuracy_when_deployed(trained, recordings):
    program = sf.convert(trained, input_shape=(1, 6, 6), chip="unbounded")
    with sf.open_board("twin") as board:
        board.load(program)
        return board.play([events for events, _ in recordings]).with_labels(recordings.labels)


def test_the_epoch_that_is_kept_is_the_best_one_on_the_twin(data):
    result = fit(network(), data, SETTINGS)
    best = max(result.history, key=lambda m: (m.twin_accuracy, -m.validation_loss))
    assert result.best == best
    deployed = accuracy_when_deployed(result.network, halves(11, 2))
    assert result.best.twin_accuracy == pytest.approx(deployed.accuracy())


def test_each_epoch_tells_what_deploying_it_would_give(data):
    for n_epochs in (1, 2, 3):
        # the schedule is as long as the training, so each length is a training of its own
        settings = replace(SETTINGS, epochs=n_epochs, keep="last")
        result = fit(network(), data, settings)
        deployed = accuracy_when_deployed(result.network, halves(11, 2))
        assert result.history[-1].twin_accuracy == pytest.approx(deployed.accuracy())


def test_choosing_by_the_twin_changes_no_weight_of_the_training(data):
    by_twin = fit(network(), data, replace(SETTINGS, keep="last"))
    by_torch = fit(network(), data, replace(SETTINGS, keep="last", chosen_by="torch"))
    assert by_torch.history[-1].twin_accuracy is None
    for ours, theirs in zip(
        by_twin.network.parameters(), by_torch.network.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_more_recordings_than_are_played_at_once_are_all_counted(data):
    many = TrainingData(data.training, cache_frames(halves(70, 5), 4))
    result = fit(network(), many, replace(SETTINGS, epochs=1))
    deployed = accuracy_when_deployed(result.network, halves(70, 5))
    assert result.best.twin_accuracy == pytest.approx(deployed.accuracy())


def test_a_resumed_training_keeps_what_the_twin_measured(data, tmp_path):
    whole = fit(network(), data, SETTINGS)
    files = TrainingFiles(checkpoint=tmp_path / "run.checkpoint")
    steps = []

    def stop_in_the_third_epoch(progress):
        steps.append(progress)
        if progress.epoch == 3:
            raise KeyboardInterrupt

    fit(network(), data, SETTINGS, files=files, watch=stop_in_the_third_epoch)
    resumed = fit(network(), data, SETTINGS, files=TrainingFiles(resume=files.checkpoint))
    accuracies = [metrics.twin_accuracy for metrics in whole.history]
    assert [metrics.twin_accuracy for metrics in resumed.history] == accuracies
    assert steps[-1].validation_accuracy == accuracies[1]


def test_frames_without_their_events_are_refused_before_training(data):
    frames = replace(data.validation, events=None)
    with pytest.raises(TrainingError, match="only frames are known: make them by cache_frames"):
        fit(network(), TrainingData(data.training, frames), SETTINGS)


def test_a_network_that_does_not_convert_is_refused_before_training(data):
    def never(progress):
        raise AssertionError(progress)

    with pytest.raises(TrainingError, match=r"the twin can't choose the epoch.*choose by torch"):
        fit(network(pool=nn.MaxPool2d), data, SETTINGS, watch=never)


def test_fine_tuning_is_chosen_by_the_twin_as_well(data):
    result = finetune_network(network(), data, replace(SETTINGS, method="mtt"))
    deployed = accuracy_when_deployed(result.network, halves(11, 2))
    assert result.best.twin_accuracy == pytest.approx(deployed.accuracy())
