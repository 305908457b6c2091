"""The players of a deployment, opened: the network in time steps, the twin and the board."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards import open_board
from speckflex.boards.twin import Twin
from speckflex.deployment._players import AT_RATE, Players
from speckflex.deployment._rate import twin_at_rate
from speckflex.deployment.progress import Progress
from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.boards import Board
    from speckflex.boards.choosing import ChosenBoard
    from speckflex.conversion.model import ConvertedModel
    from speckflex.deployment._players import Play
    from speckflex.deployment.deploy import DeploySettings
    from speckflex.deployment.progress import Watch

# what progress calls the players
STAGES = {
    "torch": "torch network",
    "folded": "folded network",
    "eight-bit": "8 bits in time steps",
    "repeat": "second play",
    AT_RATE: "twin at the rate",
}
SAMPLES_PER_THREAD = 2  # that the twin takes at a time, so that its progress moves

__all__ = ["open_players"]


@contextmanager
def open_players(
    model: ConvertedModel, chosen: ChosenBoard, settings: DeploySettings, watch: Watch
) -> Iterator[Players]:
    """Yield torch networks, twin and board, each with the program loaded."""
    board, family = chosen.board, chosen.family
    names = {"chip": board.name, **STAGES}
    reading = settings.early_exit or settings.bars.min_accuracy_at is not None
    references = _references(model, settings.bins)
    players = Players(model.program, references, names=names, reading=reading)
    watch(Progress("loading or compiling the twin's kernels"))
    with ExitStack() as stack:
        if not family.is_twin:
            twin = stack.enter_context(
                open_board("twin", threads=settings.threads, settings=settings.of_twin)
            )
            twin.load(model.program)
            players.in_batches["twin"] = twin.play
            _make_ready(twin, players, settings)
        board.load(model.program)
        if family.is_twin:
            _make_ready(board, players, settings)
        plays = players.one_by_one if family.one_by_one else players.in_batches
        plays["twin" if family.is_twin else "chip"] = board.play
        if settings.repeat and not family.repeats:
            plays["repeat"] = board.play
        if settings.rate is not None:
            rated = twin_at_rate(model.program, settings.rate, settings.of_twin, settings.threads)
            players.in_batches[AT_RATE] = stack.enter_context(rated).play
        yield players


def _make_ready(twin: Board, players: Players, settings: DeploySettings) -> None:
    """Load the kernels of a twin, or compile them, and let its progress move."""
    twin.play(make_events(*np.zeros((4, 0), np.int64)), keep_events=False)
    # spikes of engines that compute in parallel are drawn by the position in a call
    drawn = isinstance(twin, Twin) and twin.settings.parallel_window > 1
    if not drawn:
        threads = settings.threads or os.cpu_count() or 1
        players.in_steps["twin"] = SAMPLES_PER_THREAD * threads


def _references(model: ConvertedModel, bins: int) -> dict[str, Play]:
    """Return the functions that play the network as given, folded and in 8 bits, by name."""
    if model.network is None:
        return {}
    from speckflex.deployment.eight_bit import EightBitSteps
    from speckflex.deployment.torch_reference import TorchReference

    given = model.network if model.trained is None else model.trained
    folded = model.folding.layers if model.folding else ()
    norms = {layer.layer: layer.norms[-1] for layer in folded if layer.norms}
    players = {"torch": TorchReference(given, model.program, bins=bins, norms=norms).play}
    if model.trained is not None:
        folded_network = TorchReference(model.network, model.program, bins=bins, step="folded")
        players["folded"] = folded_network.play
    return {**players, "eight-bit": EightBitSteps(model.program, model.network, bins=bins).play}
