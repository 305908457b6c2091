"""The epochs in torch that come before those of a board."""

from dataclasses import replace

import pytest
import torch
from halves import halves, network

from speckflex.errors import BoardNotFoundError, TrainingInterruptedError
from speckflex.training import (
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    cache_frames,
    finetune_network,
    pipeline,
)
from speckflex.training._synops import PRICE, counted_synops
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.on_board import sparse_start
from speckflex.training.on_board.sparse_start import begins_sparse, sparse_network

SPARSE = TrainingSettings(
    method="board",
    t_max=5,
    epochs=3,
    batch_size=8,
    learning_rate=0.05,
    seed=3,
    augment="shift:1",
    sparse_epochs=2,
)


@pytest.fixture
def data():
    return TrainingData(cache_frames(halves(40, 1), 5), cache_frames(halves(11, 2), 5))


def synops(trained, recordings):
    """Return the synaptic operations of all layers behind the first, over all recordings."""
    mixed = MixedTimestepNetwork(trained)
    with torch.no_grad(), counted_synops(mixed) as counts:
        mixed(recordings.frames)
    return float(sum(counts[1:]))


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({}, True),
        ({"synops_weight": 2.0}, True),
        ({"synops_weight": 0.0}, False),
        ({"sparse_epochs": 0}, False),
        ({"method": "mtt"}, False),
        ({"board": "replay:a.h5"}, False),
    ],
)
def test_only_a_board_whose_operations_cost_begins_sparse(changes, begins):
    assert begins_sparse(replace(SPARSE, **changes)) is begins


def test_the_network_gets_sparser_before_the_board_and_stays_as_it_is(data):
    dense = network(gain=4.0)
    before = [weights.clone() for weights in dense.parameters()]
    dear = replace(SPARSE, sparse_epochs=20, synops_weight=3000.0)
    sparse = sparse_network(dense, data, dear)
    assert synops(sparse, data.training) < 0.9 * synops(dense, data.training)
    assert all(map(torch.equal, before, dense.parameters()))


def test_the_price_is_twice_that_of_the_board(data, monkeypatch):
    """By hand: 0.02 for what the events cause in the first layer, 3 x 3 weights to 4 channels."""
    seen = []

    def fit(network, data, settings, **options):
        seen.append(settings)
        return real_fit(network, data, settings, **options)

    real_fit = sparse_start.fit
    monkeypatch.setattr(sparse_start, "fit", fit)
    for weight in (None, 7.0):
        sparse_network(network(), data, replace(SPARSE, synops_weight=weight))
    relative, given = seen
    assert given.synops_weight == 14.0
    rows = data.training.frames.sum(dim=(0, 1, 2)).double()
    # an event in a corner reaches 4 places of 4 channels, at an edge 6, else 9
    reached = torch.tensor([2, 3, 3, 3, 3, 2]).double()
    first = float((rows * reached[:, None] * reached[None, :]).sum()) * 4 / len(data.training)
    assert relative.synops_weight * first / 1e6 == pytest.approx(2 * PRICE, rel=0.3)
    assert {each.method for each in seen} == {"sdt"}
    assert {each.epochs for each in seen} == {2}
    assert {each.keep for each in seen} == {"last"}


def test_a_board_that_does_not_exist_is_told_before_anything_is_trained(
    data,
    monkeypatch,
):
    monkeypatch.setattr(sparse_start, "fit", None)
    with pytest.raises(BoardNotFoundError):
        finetune_network(network(), data, replace(SPARSE, board="none"))


def test_a_resumed_training_has_its_sparse_epochs_behind_it(data, tmp_path, monkeypatch):
    files = TrainingFiles(tmp_path / "run.checkpoint")
    whole = finetune_network(network(), data, SPARSE, files=files)

    def stop(progress):
        # each epoch has 5 steps: two epochs in torch, one with the board, the end of the next
        steps.append(progress)
        if len(steps) == 4 * 5:
            raise KeyboardInterrupt

    steps = []
    broken = finetune_network(network(), data, SPARSE, files=files, watch=stop)
    assert broken.interrupted
    assert len(broken.history) == 1
    monkeypatch.setattr(pipeline, "sparse_network", None)
    resume = TrainingFiles(resume=files.checkpoint)
    resumed = finetune_network(network(), data, SPARSE, files=resume)
    assert [each.loss for each in resumed.history] == [each.loss for each in whole.history]
    assert all(map(torch.equal, resumed.network.parameters(), whole.network.parameters()))


def test_an_interruption_of_the_sparse_epochs_ends_the_training(data):
    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterruptedError, match="after epoch 1 of 2 that come before the b"):
        finetune_network(network(), data, SPARSE, watch=stop)
