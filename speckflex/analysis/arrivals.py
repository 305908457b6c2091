"""What reached each core of a program, worked out from a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.events.streams import make_events
from speckflex.program.records import InputStage
from speckflex.program.routing import Places, deliver, enter, places_of
from speckflex.twin.decimator import Decimator
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core
    from speckflex.recordings.recording import Recording
    from speckflex.twin.settings import EdgeSpikes

__all__ = ["core_inputs"]


def core_inputs(
    program: Program,
    recording: Recording,
    input_events: Sequence[np.ndarray],
    index: int,
    *,
    reset: bool = True,
) -> list[np.ndarray] | None:
    """Return the events that reached a core, one stream a sample, in the order of time.

    Of the leading samples whose events are all known; None where there is none. What the
    recording's board says of its own choices (`Provenance.settings`) is followed; events that a
    filter or a busy core turned away are counted as if they had arrived.

    Args:
        program: what ran.
        recording: what it spiked, `t` in µs.
        input_events: the streams that were played, one a sample; of the first samples at least.
        index: the core's position in the program.
        reset: as in `synops.measure_synops`.
    """
    parts = []
    if index in _targets(program.input):
        places = enter(program.input)
        parts.append([_arrive(events, places, program.input, index) for events in input_events])
    for source, core in enumerate(program.cores):
        if index in _targets(core):
            parts.append(_arrivals(core, source, recording, index, reset=reset))
    joined = [np.concatenate(streams) for streams in zip(*parts, strict=False)]
    return [events[np.argsort(events["t"], kind="stable")] for events in joined] or None


def _targets(sender: Core | InputStage) -> list[int]:
    """Return the positions of the cores that a sender's spikes go to."""
    return [destination.core for destination in sender.destinations]


def _arrivals(
    sender: Core, source: int, recording: Recording, index: int, *, reset: bool
) -> list[np.ndarray]:
    """Return what one core's recorded spikes send another, sample by sample; none unrecorded."""
    choices = recording.provenance.settings
    edge_spikes: EdgeSpikes = "keep" if choices.get("edge_spikes") == "keep" else "drop"
    record = next((record for record in recording.layers if record.index == source), None)
    streams = record.events if record is not None and record.events is not None else ()
    sent = _sent(sender, streams, choices, reset=reset)
    places = places_of(sender.output_shape)
    return [_arrive(events, places, sender, index, edge_spikes) for events in sent]


def _sent(
    core: Core, streams: Sequence[np.ndarray], choices: Mapping[str, str], *, reset: bool
) -> list[np.ndarray]:
    """Return which of a core's recorded spikes its output decimator sends on, sample by sample."""
    if choices.get("decimator_monitor") == "after":
        return list(streams)
    first = choices.get("decimator_passes") == "first"
    decimator = Decimator(core, TwinSettings(decimator_passes="first" if first else "last"))
    sent = []
    for events in streams:
        if reset:
            decimator.reset()
        sent.append(events[decimator.passing(len(events))])
    return sent


def _arrive(
    events: np.ndarray,
    places: Places,
    sender: Core | InputStage,
    index: int,
    edge_spikes: EdgeSpikes = "drop",
) -> np.ndarray:
    """Return what of a sender's events arrives at a core, destination after destination."""
    shape = sender.shape if isinstance(sender, InputStage) else sender.output_shape
    address = (events["y"].astype(np.int64) * shape[2] + events["x"]) * shape[0] + events["p"]
    arrived = []
    for destination in sender.destinations:
        if destination.core == index:
            there = deliver(places, sender.output_shape, destination, edge_spikes)
            kept = there.kept[address]
            at = address[kept]
            arrived.append(
                make_events(
                    events["t"][kept], there.columns[at], there.rows[at], there.channels[at]
                )
            )
    return np.concatenate(arrived)
