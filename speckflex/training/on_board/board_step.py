"""One step of a training whose forward pass a board plays."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import TrainingError
from speckflex.training._loss import add_gradient
from speckflex.training._synops import counted_synops, synops_loss
from speckflex.training.mixed.stages import reset_states
from speckflex.training.on_board.board_loop import events_of
from speckflex.training.on_board.load import busiest_loads
from speckflex.training.on_board.recorded_neurons import recorded_neurons
from speckflex.training.on_board.requantise import program_weights

if TYPE_CHECKING:
    from speckflex.training._batches import FrameBatch
    from speckflex.training._run import TrainingRun
    from speckflex.training._steps import Outcome

__all__ = ["SCORE_OF_SPIKE", "board_step"]

# The score of a class for each of its spikes, in the cross entropy. A choice of this project: with
# some ten spikes of a class in a recording, scores then have the size that the loss works with.
SCORE_OF_SPIKE = 0.2
# The loss of a recording for each core that has twice as much to do as the limit allows.
LOSS_OF_LOAD = 1.0


def board_step(run: TrainingRun, batch: FrameBatch, index: int) -> Outcome:
    """Play a batch on the board, and add the gradient of the loss of what it answered.

    The spikes of every layer are those that the board returned; torch only computes how they
    depend on the weights. So loss and accuracy are the board's.

    Args:
        run: a training with a board.
        batch: the recordings; its frames are not used.
        index: of the step in the epoch.
    """
    if run.board is None:
        raise TrainingError("the training has no board: choose method board")
    network = run.mixed.network
    place = [run.settings.seed, len(run.history), index, run.fabric.global_rank]
    generator = np.random.default_rng(place)
    program, played = run.board.play(network, _streams(run, batch), run.settings.t_max, generator)
    device = run.fabric.device
    spikes = [layer.to(device) for layer in played.spikes]
    widths = played.widths.to(device)
    limit = run.settings.max_load or 0.0
    loading = busiest_loads(network, program, widths) if limit else nullcontext([])
    counting = counted_synops(network) if run.prices_synops else nullcontext([])
    with (
        program_weights(program, network),
        recorded_neurons(network, program, spikes),
        loading as loads,
        counting as synops,
    ):
        output = run.model(played.frames.to(device)).flatten(2).sum(dim=1)
        unit = 1 / program.cores[-1].scale if program.cores[-1].readout == "potential" else 1.0
        # the recorded values with the gradient of the computed ones
        answered = played.scores.to(output) * unit + (output - output.detach())
        excess = sum((load - limit).clamp(min=0).sum() for load in loads)
        price = synops_loss(synops, run.settings.synops_weight, len(batch.labels))
        penalty = excess * LOSS_OF_LOAD + price
        outcome = add_gradient(run, batch, answered * SCORE_OF_SPIKE, penalty)
    reset_states(run.mixed)
    return outcome


def _streams(run: TrainingRun, batch: FrameBatch) -> list[np.ndarray]:
    """Return the events of a batch, each recording changed as its frames are."""
    dataset = events_of(run.data.training)
    return [
        batch.changes.of_events(dataset[position][0], dataset.shape, index)
        for index, position in enumerate(batch.positions.tolist())
    ]
