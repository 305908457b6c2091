"""Where two recordings of a layer first differ: the event, or the neuron."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.records import Shape
    from speckflex.recordings.recording import LayerRecord

__all__ = ["Divergence", "count_reordered", "find_divergence"]

# A recording that has so many times fewer distinct times than the other is in time bins.
COARSE = 4
# Events that are sorted at once, in search of a run that differs.
BLOCK = 2**16


@dataclass(frozen=True)
class Divergence:
    """The first place at which two recordings of a layer differ.

    Args:
        sample: the first sample that differs.
        kind: "event" where both keep the sample's spikes, "bin" where one of them has them in
            coarse time bins, "neuron" where counts alone tell, "potential" where the layer is
            read by potentials and its neurons end at different ones.
        index: of the event in the reference's stream; of the neuron, row by row, in the layer.
        time_a: µs, of the reference's event or the end of the bin; None where it has none.
        time_b: µs, of the other's event.
        address_a: (channel, y, x) of the reference's event or of the neuron.
        address_b: (channel, y, x) of the other's event or of the neuron.
        count_a: the neuron's spikes in the reference, in the bin or over the whole sample; or
            its potential, in the program's integers.
        count_b: the same of the other.
    """

    sample: int
    kind: Literal["event", "bin", "neuron", "potential"]
    index: int
    time_a: int | None = None
    time_b: int | None = None
    address_a: Shape | None = None
    address_b: Shape | None = None
    count_a: int | None = None
    count_b: int | None = None

    def describe(self, a: str = "the reference", b: str = "the other") -> str:
        """Return one sentence that describes the difference."""
        if self.kind == "potential":
            return (
                f"sample {self.sample}, neuron {_spell(self.address_a)}: {a} ends at potential"
                f" {self.count_a}, {b} at {self.count_b}"
            )
        if self.kind == "neuron":
            return (
                f"sample {self.sample}, neuron {_spell(self.address_a)}: {a} counted"
                f" {_number(self.count_a)}, {b} {self.count_b}"
            )
        if self.kind == "bin":
            return (
                f"sample {self.sample}, up to {self.time_a} µs: {a} has {_number(self.count_a)} at"
                f" {_spell(self.address_a)}, {b} {self.count_b}"
            )
        return (
            f"sample {self.sample}, event {self.index}:"
            f" {_spell_event(a, self.time_a, self.address_a)},"
            f" {_spell_event(b, self.time_b, self.address_b)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        values = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def find_divergence(a: LayerRecord, b: LayerRecord) -> Divergence | None:
    """Return where two records of one layer first differ; None if they don't.

    Samples are looked at in order. Where both keep a sample's events, their addresses are
    compared in order: times are not, since every board has its own clock. Events that either
    record gives the same time count as simultaneous, and their order as arbitrary. Where one
    record has its events in coarse time bins, the first bin and neuron whose counts differ is
    named; where events are missing, the first neuron whose counts over the sample do. A layer
    that both records read by its potentials is compared by them.
    """
    if a.potentials is not None and b.potentials is not None:
        return _diverging_potential(a.potentials, b.potentials)
    n_events = min(len(a.events or ()), len(b.events or ()))
    for sample in range(len(a.counts)):
        if sample < n_events and a.events is not None and b.events is not None:
            one, other = a.events[sample], b.events[sample]
            bins = _coarse_bins(one["t"], other["t"])
            if bins is None:
                found = _diverging_event(one, other, sample, a.shape)
            else:
                found = _diverging_bin(one, other, bins, sample, a.shape)
        else:
            found = _diverging_neuron(a.counts[sample], b.counts[sample], sample)
        if found is not None:
            return found
    return None


def count_reordered(a: LayerRecord, b: LayerRecord) -> int:
    """Return in how many samples the same events come in another order."""
    n_neurons = int(np.prod(a.shape))
    reordered = 0
    for one, other in zip(a.events or (), b.events or (), strict=False):
        if len(one) != len(other):
            continue
        codes = [_codes(events, a.shape) for events in (one, other)]
        if not np.array_equal(codes[0], codes[1]):
            # the same counts of each neuron: the same events, without sorting them
            counts = [np.bincount(code, minlength=n_neurons) for code in codes]
            reordered += np.array_equal(counts[0], counts[1])
    return reordered


def _diverging_potential(a: np.ndarray, b: np.ndarray) -> Divergence | None:
    different = (a != b).reshape(len(a), -1).any(axis=1)
    if not different.any():
        return None
    sample = int(different.argmax())
    found = _diverging_neuron(a[sample], b[sample], sample)
    return None if found is None else replace(found, kind="potential")


def _coarse_bins(times_a: np.ndarray, times_b: np.ndarray) -> np.ndarray | None:
    """Return the times of the recording that has far fewer of them; None if neither has."""
    ordered = [_in_order(times) for times in (times_a, times_b)]
    begins = [_begins(times) for times in ordered]
    n_distinct = [int(np.count_nonzero(begin)) for begin in begins]
    few = int(n_distinct[1] < n_distinct[0])
    has_ties = n_distinct[few] < len(ordered[few])
    if has_ties and COARSE * n_distinct[few] <= n_distinct[1 - few]:
        return ordered[few][begins[few]]
    return None


def _in_order(times: np.ndarray) -> np.ndarray:
    """Return times in ascending order; boards return them so, and looking is cheaper."""
    times = np.ascontiguousarray(times)
    return times if (times[1:] >= times[:-1]).all() else np.sort(times)


def _begins(ordered: np.ndarray) -> np.ndarray:
    """Return whether each time is the first of its value; `np.unique` hashes, far slower."""
    begins = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins


def _diverging_bin(
    a: np.ndarray, b: np.ndarray, bins: np.ndarray, sample: int, shape: Shape
) -> Divergence | None:
    """Compare counts up to the end of each bin; a bin holds the events up to its time."""
    n_neurons = int(np.prod(shape))
    parts = [_by_bin(events, bins, shape) for events in (a, b)]
    seen = np.zeros((2, n_neurons), np.int64)
    for position in range(len(bins) + 1):
        for row, (codes, ends) in enumerate(parts):
            part = codes[ends[position] : ends[position + 1]]
            np.add.at(seen[row], part, 1)
        different = seen[0] != seen[1]
        if different.any():
            index = int(different.argmax())
            end = int(bins[min(position, len(bins) - 1)])
            return _at_neuron((seen[0], seen[1]), index, sample, shape, end)
    return None


def _by_bin(events: np.ndarray, bins: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of events sorted by bin, and where each bin begins and the last ends."""
    place = np.searchsorted(bins, events["t"])
    codes = _codes(events, shape)
    if not (place[1:] >= place[:-1]).all():
        order = np.argsort(place, kind="stable")
        place, codes = place[order], codes[order]
    return codes, np.searchsorted(place, np.arange(len(bins) + 2))


def _diverging_event(a: np.ndarray, b: np.ndarray, sample: int, shape: Shape) -> Divergence | None:
    codes_a, codes_b = _codes(a, shape), _codes(b, shape)
    if np.array_equal(codes_a, codes_b):
        return None
    n = min(len(a), len(b))
    start = _first_different_group(codes_a[:n], codes_b[:n], _groups(a["t"][:n], b["t"][:n]))
    if start is None:
        if len(a) == len(b):
            return None
        start = n
    return _event_divergence(a, b, _odd_event(a, b, start, shape), sample)


def _groups(times_a: np.ndarray, times_b: np.ndarray) -> np.ndarray:
    """Number the runs of simultaneous events; a new run begins where both times change."""
    begins = (np.diff(times_a) != 0) & (np.diff(times_b) != 0)
    return np.concatenate([np.zeros(min(1, len(times_a)), np.int64), np.cumsum(begins)])


def _first_different_group(
    codes_a: np.ndarray, codes_b: np.ndarray, groups: np.ndarray
) -> int | None:
    """Return where the first run begins whose events are not the same multiset."""
    places = np.flatnonzero(codes_a != codes_b)
    while places.size:
        # Before this run all is the same. Most recordings that differ do so in the first block.
        begin, last = int(places[0]), min(int(places[0]) + BLOCK, len(groups)) - 1
        start = int(np.searchsorted(groups, groups[begin]))
        stop = int(np.searchsorted(groups, groups[last], side="right"))
        block = slice(start, stop)
        one, other = (
            codes[block][np.lexsort((codes[block], groups[block]))] for codes in (codes_a, codes_b)
        )
        different = one != other
        if different.any():
            return int(np.searchsorted(groups, groups[start + int(different.argmax())]))
        places = places[np.searchsorted(places, stop) :]
    return None


def _odd_event(a: np.ndarray, b: np.ndarray, start: int, shape: Shape) -> int:
    """Return the index of the first event from `start` on that the other stream lacks."""
    n = min(len(a), len(b))
    stop = start + 1
    while stop < n and (a["t"][stop] == a["t"][stop - 1] or b["t"][stop] == b["t"][stop - 1]):
        stop += 1
    run_a, run_b = (events[start : _end_of_run(events, stop, n)] for events in (a, b))
    codes_a, codes_b = _codes(run_a, shape), _codes(run_b, shape)
    for own, other in ((codes_a, codes_b), (codes_b, codes_a)):
        left = Counter(other.tolist())
        for offset, code in enumerate(own.tolist()):
            if not left[code]:
                return start + offset
            left[code] -= 1
    return start


def _end_of_run(events: np.ndarray, stop: int, n: int) -> int:
    """Return `stop`, or where the stream's own last run ends if the shorter stream ended at n."""
    if stop < n:
        return stop
    while 0 < stop < len(events) and events["t"][stop] == events["t"][stop - 1]:
        stop += 1
    return stop


def _event_divergence(a: np.ndarray, b: np.ndarray, index: int, sample: int) -> Divergence:
    event_a = a[index] if index < len(a) else None
    event_b = b[index] if index < len(b) else None
    return Divergence(
        sample,
        "event",
        index,
        time_a=None if event_a is None else int(event_a["t"]),
        time_b=None if event_b is None else int(event_b["t"]),
        address_a=_address(event_a),
        address_b=_address(event_b),
    )


def _diverging_neuron(a: np.ndarray, b: np.ndarray, sample: int) -> Divergence | None:
    different = (a != b).ravel()
    if not different.any():
        return None
    channels, height, width = a.shape
    counts = (a.ravel(), b.ravel())
    return _at_neuron(counts, int(different.argmax()), sample, (channels, height, width))


def _at_neuron(
    counts: Sequence[np.ndarray], index: int, sample: int, shape: Shape, time: int | None = None
) -> Divergence:
    """Return the divergence at a neuron: in the bin that ends at `time`, or over the sample."""
    channel, y, x = (int(value) for value in np.unravel_index(index, shape))
    return Divergence(
        sample,
        "neuron" if time is None else "bin",
        index,
        time_a=time,
        time_b=time,
        address_a=(channel, y, x),
        address_b=(channel, y, x),
        count_a=int(counts[0][index]),
        count_b=int(counts[1][index]),
    )


def _codes(events: np.ndarray, shape: Shape) -> np.ndarray:
    """Return one int64 per event, different for different addresses."""
    _, height, width = shape
    return (events["p"].astype(np.int64) * height + events["y"]) * width + events["x"]


def _address(event: Any) -> Shape | None:
    return None if event is None else (int(event["p"]), int(event["y"]), int(event["x"]))


def _number(spikes: int | None) -> str:
    return "1 spike" if spikes == 1 else f"{spikes} spikes"


def _spell(address: Shape | None) -> str:
    return "(channel {}, y {}, x {})".format(*address) if address else "(none)"


def _spell_event(name: str, time: int | None, address: Shape | None) -> str:
    if address is None:
        return f"{name} has no further spike"
    return f"{name} spikes at {_spell(address)} at {time} µs"
