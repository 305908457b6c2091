"""A saved recording as a board: it answers with what was recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from speckflex.boards._arguments import (
    BoardContext,
    alone,
    check_is_program,
    check_monitor,
    check_samples,
)
from speckflex.errors import BoardError, BoardNotFoundError, FileFormatError
from speckflex.events.streams import hash_events
from speckflex.recordings.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from speckflex.program.program import Program
    from speckflex.recordings.recording import LayerRecord, Provenance

__all__ = ["Replay"]


class Replay(BoardContext):
    """A board that answers from a recording, and raises an error if that has no answer.

    Samples are answered in the order they were recorded, over several calls of `play`; `load`
    goes back to the first one. What is played must be what was recorded: the number of events is
    compared, and the events themselves if the recording has their hash.

    Args:
        path: of a recording file.

    Raises:
        BoardNotFoundError: there is no such file, or it is no recording.
    """

    kind = "replay"

    def __init__(self, path: str | Path) -> None:
        self.name = f"replay:{path}"
        try:
            self._recording = Recording.load(path)
        except FileFormatError as error:
            raise BoardNotFoundError(f"board {self.name}: {error}") from error
        self._program: Program | None = None
        self._next = 0
        self._closed = False

    @property
    def recording(self) -> Recording:
        """All that the file holds."""
        return self._recording

    @alone
    def load(self, program: Program) -> None:
        """Take in the program that was recorded, and go back to the first sample.

        Raises:
            BoardError: the board is closed, or another program was recorded.
        """
        check_is_program(program)
        self._check_open()
        recorded = self._recording.provenance.program_sha256
        if program.sha256 != recorded:
            raise BoardError(
                f"board {self.name}: holds a recording of program {recorded[:12]}, not of"
                f" {program.sha256[:12]}: load the program it was made with"
            )
        self._program, self._next = program, 0

    @alone
    def play(
        self,
        events: np.ndarray | Sequence[np.ndarray],
        *,
        monitor: Sequence[int] | None = None,
        keep_events: bool = True,
        reset: bool = True,
    ) -> Recording:
        """Return what the next samples spiked when they were recorded.

        A recording does not say whether the neurons were reset before each sample, so `reset` has
        no effect.

        Args:
            events: one structured array, or one per sample; fields t (µs), x, y, p.
            monitor: positions of the layers wanted, -1 the last; None for all that were recorded.
            keep_events: return the spikes, not their counts alone.
            reset: has no effect.

        Raises:
            BoardError: the board is closed or has no program, or the recording doesn't hold what
                is asked for.
            EventsError: a sample is no event stream of the input's shape.
        """
        self._check_open()
        if self._program is None:
            raise BoardError(f"board {self.name} has no program: call load(program) first")
        samples = check_samples(events, self._program.input.shape)
        start, end = self._next, self._next + len(samples)
        self._check_samples(samples, start)
        layers = self._layers(monitor)
        if keep_events:
            self._check_spikes(layers, end)
        played = replace(self._recording, layers=layers).part(start, end)
        self._next = end
        played = replace(played, provenance=self._provenance())
        return played if keep_events else played.without_events()

    def close(self) -> None:
        """Release the recording; a closed board plays nothing."""
        self._closed = True
        self._program = None

    def _check_open(self) -> None:
        if self._closed:
            raise BoardError(f"board {self.name} is closed: open it again with open_board")

    def _check_samples(self, samples: list[np.ndarray], start: int) -> None:
        logs = self._recording.samples
        if start + len(samples) > len(logs):
            raise BoardError(
                f"board {self.name}: holds {len(logs)} samples, {start + len(samples)} were asked"
                " for since the program was loaded: play fewer, or load again to start over"
            )
        for index, events in enumerate(samples, start):
            log = logs[index]
            if log.written != len(events):
                raise BoardError(
                    f"board {self.name}: sample {index} was recorded with {log.written} events,"
                    f" {len(events)} are played: play the samples that were recorded, in order"
                )
            if log.input_sha256 and log.input_sha256 != hash_events(events):
                raise BoardError(
                    f"board {self.name}: sample {index} was recorded with other events, although"
                    " there were as many: play the samples that were recorded, in order"
                )

    def _layers(self, monitor: Sequence[int] | None) -> tuple[LayerRecord, ...]:
        recorded = self._recording
        if monitor is None:
            return recorded.layers
        return tuple(recorded.layer(index) for index in check_monitor(monitor, recorded.n_layers))

    def _check_spikes(self, layers: Sequence[LayerRecord], end: int) -> None:
        """Check that the recording holds the spikes of all samples before `end`."""
        for layer in layers:
            held = 0 if layer.events is None else len(layer.events)
            if held < end:
                raise BoardError(
                    f"board {self.name}: holds the spikes of {held} samples of layer"
                    f" {layer.index}, and counts of the others; spikes of sample {end - 1} were"
                    " asked for: play with keep_events=False"
                )

    def _provenance(self) -> Provenance:
        recorded = self._recording.provenance
        here = {"recorded_on": recorded.board, "recorded_kind": recorded.kind}
        return replace(
            recorded, board=self.name, kind=self.kind, settings={**recorded.settings, **here}
        )
