"""The events that reached each core of a program, computed from a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.events.streams import make_events
from speckflex.program.records import InputStage
from speckflex.program.routing import Places, deliver, enter, places_of
from speckflex.twin.cores import Decimator
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core
    from speckflex.recordings.recording import Recording
    from speckflex.twin.settings import EdgeSpikes

__all__ = ["arrivals_of", "core_inputs"]


def core_inputs(
    program: Program,
    recording: Recording,
    input_events: Sequence[np.ndarray],
    index: int,
    *,
    reset: bool = True,
) -> list[np.ndarray] | None:
    """Return the events that reached a core, one stream a sample, in the order of time.

    The streams cover the first samples, up to the first one with unknown events; None if there is
    no such sample. The settings of the board that recorded (`Provenance.settings`) are respected.
    Events that a filter or a busy core dropped are counted as if they had arrived.

    Args:
        program: the program that ran.
        recording: its spikes, `t` in µs.
        input_events: the streams that were played, at least those of the first samples.
        index: position of the core in the program.
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


def arrivals_of(events: np.ndarray, sender: Core | InputStage, index: int) -> np.ndarray:
    """Return the events that a sender's spikes are at a core, one destination after the other.

    Args:
        events: of the sender, before its pooling.
        sender: a core without its decimator, or the input stage.
        index: position of the core that receives.
    """
    if isinstance(sender, InputStage):
        return _arrive(events, enter(sender), sender, index)
    return _arrive(events, places_of(sender.output_shape), sender, index)


def _targets(sender: Core | InputStage) -> list[int]:
    """Return the positions of the cores that receive the spikes of a sender."""
    return [destination.core for destination in sender.destinations]


def _arrivals(
    sender: Core, source: int, recording: Recording, index: int, *, reset: bool
) -> list[np.ndarray]:
    """Return the events that one core sends to another, by sample; none if it was not recorded."""
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
    """Return the recorded spikes of a core that its output decimator passes on, by sample."""
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
    """Return the events of a sender that arrive at a core, one destination after the other."""
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
