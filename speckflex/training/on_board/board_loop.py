"""The board of a training: it plays each batch and the recordings that choose the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from speckflex.analysis.synops import LayerSynops, measure_synops
from speckflex.boards import open_board
from speckflex.boards.family import BoardName, find_family
from speckflex.conversion.convert import convert
from speckflex.errors import ConversionError, NetworkError, PlacementError, TrainingError
from speckflex.training.on_board.playing import PlayedBatch, check_all_layers, play_batch
from speckflex.training.on_board.requantise import check_requantises, with_weights
from speckflex.training.on_board.session import RecordedSession, check_one_step, is_recorded
from speckflex.training.on_board.variation import Variation

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from speckflex.data.dataset import EventDataset
    from speckflex.program.program import Program
    from speckflex.training.data import FrameSet, TrainingData
    from speckflex.training.settings import TrainingSettings

__all__ = ["BoardLoop", "check_board", "events_of", "open_loop"]

RECORDINGS_AT_ONCE = 64
# So many recordings show whether every layer spikes.
TRIED_RECORDINGS = 32


@dataclass(eq=False)
class BoardLoop:
    """A board under a network that changes.

    Args:
        name: of the board.
        threads: of a board that has threads.
        program: what the network converted to before the training.
        variation: how plays differ.
        boards: the opened board, and one with the order of output that was drawn last.
    """

    name: str
    threads: int
    program: Program
    variation: Variation
    boards: dict[str | None, Any] = field(default_factory=dict)

    @cached_property
    def is_recorded(self) -> bool:
        """Whether the board answers from a recorded session, for one program alone."""
        return is_recorded(self.name)

    def play(
        self,
        network: nn.Module,
        streams: list[np.ndarray],
        n_bins: int,
        generator: np.random.Generator,
    ) -> tuple[Program, PlayedBatch]:
        """Return the program of the network as it is now, and what it did with a batch.

        Args:
            network: the one of `program` with other weights.
            streams: an event array for each recording.
            n_bins: number of frames that the spikes are counted in.
            generator: draws what varies from play to play.
        """
        program = with_weights(self.program, network)
        board = self._board(self.variation.draw_order(generator))
        board.load(program)
        varied = [self.variation.change(events, generator) for events in streams]
        shape = program.input.shape
        return program, play_batch(board, varied, shape, n_bins, threads=self.threads)

    def accuracy(self, network: nn.Module, recordings: FrameSet) -> float:
        """Return the share of recordings that the board classifies right, without variations."""
        dataset = events_of(recordings)
        board = self._board(None)
        board.load(with_weights(self.program, network))
        right = 0
        for first in range(0, len(dataset), RECORDINGS_AT_ONCE):
            part = dataset[first : first + RECORDINGS_AT_ONCE]
            played = board.play([events for events, _ in part], keep_events=False)
            right += int((played.answers() == part.labels).sum())
        return right / len(dataset)

    def peak_load(self, network: nn.Module, recordings: FrameSet) -> float:
        """Return the load of the busiest core in its busiest 10 ms, in any of the recordings.

        A share of the rate that a core is taken to do, as `measure_synops` has it.
        """
        dataset = events_of(recordings)
        program = with_weights(self.program, network)
        board = self._board(None)
        board.load(program)
        loads = [0.0]
        for first in range(0, len(dataset), RECORDINGS_AT_ONCE):
            events = [events for events, _ in dataset[first : first + RECORDINGS_AT_ONCE]]
            cores = measure_synops(program, board.play(events), events)
            loads += [core.load or 0.0 for core in cores]
        return max(loads)

    def try_out(self, recordings: FrameSet, max_load: float | None) -> None:
        """Check, on some recordings, that every layer spikes and that the board returns it.

        Args:
            recordings: at least one.
            max_load: what the input alone must not exceed; None for no limit.

        Raises:
            TrainingError: a layer is silent or not returned, or the input alone is too much.
        """
        dataset = events_of(recordings)
        step = max(len(dataset) // TRIED_RECORDINGS, 1)
        part = dataset[: step * TRIED_RECORDINGS : step]
        board = self._board(None)
        board.load(self.program)
        streams = [events for events, _ in part]
        played = board.play(streams)
        check_all_layers(board, played)
        for core, layer in zip(self.program.cores, played.layers, strict=True):
            if core.readout == "spikes" and not layer.counts.any():
                raise TrainingError(
                    f"layer {core.name} sends no spike on board {self.name} in any of {len(part)}"
                    " recordings, so it gets no gradient: train the network in torch first"
                    " (speckflex finetune --method sdt), or lower its thresholds"
                )

        if max_load is not None:
            self._check_input(measure_synops(self.program, played, streams), max_load)

    def _check_input(self, cores: tuple[LayerSynops, ...], max_load: float) -> None:
        for destination in self.program.input.destinations:
            core = cores[destination.core]
            if core.load is not None and core.load > max_load:
                raise TrainingError(
                    f"layer {core.name}: the input events alone give it a load of {core.load:.2f},"
                    f" the limit is {max_load}: raise the limit, or give the layer fewer channels"
                )

    def close(self) -> None:
        """Close the board."""
        while self.boards:
            _, board = self.boards.popitem()
            board.close()

    def _board(self, order: str | None) -> Any:
        # Any, since a RecordedSession only has what a training needs of a Board
        if order not in self.boards:
            for drawn in [known for known in self.boards if known is not None]:
                self.boards.pop(drawn).close()
            settings: dict[str, Any] = {"threads": self.threads}
            if order is not None:
                settings["order"] = order
            if self.is_recorded:
                self.boards[order] = RecordedSession(self.name)
            else:
                accepted = find_family(self.name).accepted(settings)
                self.boards[order] = open_board(self.name, **accepted)
        return self.boards[order]


def open_loop(network: nn.Module, data: TrainingData, settings: TrainingSettings) -> BoardLoop:
    """Return the board of a training, open, after everything that can be checked before it.

    Raises:
        TrainingError: the board can't play the network, returns too little, or the network has
            a silent layer.
        BoardNotFoundError: there is no such board.
        BoardError: the board can't be opened.
    """
    variation = check_board(settings)
    shape = events_of(data.training).shape
    events_of(data.validation)
    program = _convert(network, shape, settings.board)
    check_requantises(program, network)
    loop = BoardLoop(settings.board, torch.get_num_threads(), program, variation)
    try:
        loop.try_out(data.training, settings.max_load)
    except BaseException:
        loop.close()
        raise
    return loop


def check_board(settings: TrainingSettings) -> Variation:
    """Check the name of the board of a training, without opening it, and return how plays differ.

    Raises:
        TrainingError: no training can use such a board, or not with these variations.
        BoardNotFoundError: no board has such a name.
    """
    family = find_family(settings.board)
    if is_recorded(settings.board):
        check_one_step(settings)
    variation = Variation.parse(settings.vary)
    if variation.order and "order" not in family.settings:
        raise TrainingError(
            f"board {settings.board}: its order of output can't be chosen: leave order out of the"
            " variations, or train on twin"
        )
    return variation


def events_of(recordings: FrameSet) -> EventDataset:
    """Return the event streams of recordings.

    Raises:
        TrainingError: only their frames are known.
    """
    if recordings.events is None:
        raise TrainingError(
            "a board can't play the recordings, because only frames of them are known: make them"
            " by cache_frames"
        )
    return recordings.events


def _convert(network: nn.Module, shape: Any, board: str) -> Program:
    name = BoardName.parse(board)
    chip = find_family(board).chip_at(name.address) or "unbounded"
    try:
        program = convert(network, shape, chip=chip)
    except (ConversionError, NetworkError, PlacementError) as error:
        raise TrainingError(
            f"board {board} can't play the network because it does not convert ({error}): change"
            " the network, or choose another method"
        ) from error
    last = program.cores[-1]
    if last.output_shape[1:] != (1, 1):
        raise TrainingError(
            f"layer {last.name} has a map of {last.output_shape[1:]} for each class: training on a"
            " board takes one output neuron for each class, such as those of a Linear"
        )
    return program
