"""Which spike comes first: where two recordings part, and when a sample is decided.

The rules are those of `docs/report.schema.json` and of `docs/stages/compare.md`, written as the
simplest loops that follow them. Nothing of the package is imported.
"""

from collections import Counter
from itertools import pairwise

import numpy as np

COARSE = 4  # a recording with so many times fewer times than the other is in time bins


def first_divergence(a, b, layer):
    """Return the first place at which two recordings of a layer differ, as the report has it.

    Args:
        a: the reference, a `by_hand.Played`.
        b: the other one.
        layer: its position.
    """
    if a.potentials[layer] is not None and b.potentials[layer] is not None:
        pairs = list(zip(a.potentials[layer], b.potentials[layer], strict=True))
        return next(filter(None, (_neuron(n, "potential", *p) for n, p in enumerate(pairs))), None)
    for sample in range(len(a.counts[layer])):
        if sample >= min(len(a.events[layer]), len(b.events[layer])):
            found = _neuron(sample, "neuron", a.counts[layer][sample], b.counts[layer][sample])
        else:
            one, other = (spikes_of(played.events[layer][sample]) for played in (a, b))
            bins = _bins(one, other)
            found = (
                _event(sample, one, other)
                if bins is None
                else _bin(sample, bins, (one, other), a.counts[layer][sample].shape)
            )
        if found:
            return found
    return None


def reordered(a, b, layer):
    """Return in how many samples the same spikes come in another order."""
    streams = zip(a.events[layer], b.events[layer], strict=False)
    pairs = [[[s[1:] for s in spikes_of(one)] for one in pair] for pair in streams]
    return sum(one != other and Counter(one) == Counter(other) for one, other in pairs)


def spikes_of(events):
    """Return the (t, p, y, x) of each spike of a sample."""
    return list(zip(*(events[name].tolist() for name in "tpyx"), strict=True))


def _found(sample, kind, index, times, places, counts):
    keys = ("time_a", "time_b", "address_a", "address_b", "count_a", "count_b")
    values = [list(one) if isinstance(one, tuple) else one for one in (*times, *places, *counts)]
    return {"sample": sample, "kind": kind, "index": index, **dict(zip(keys, values, strict=True))}


def _neuron(sample, kind, a, b, time=None):
    for index, place in enumerate(np.ndindex(*a.shape)):
        if a[place] != b[place]:
            counts = (int(a[place]), int(b[place]))
            return _found(sample, kind, index, (time, time), (place, place), counts)
    return None


def _bins(one, other):
    """Return the times of the stream that has far fewer of them, several spikes at one."""
    streams = sorted((sorted({s[0] for s in one}), sorted({s[0] for s in other})), key=len)
    few, many = streams
    shortest = one if len({s[0] for s in one}) <= len({s[0] for s in other}) else other
    return few if len(few) < len(shortest) and COARSE * len(few) <= len(many) else None


def _bin(sample, bins, streams, shape):
    """Compare what was counted up to the end of each bin, and at last of all."""
    for end in [*bins, np.inf]:
        counts = [np.zeros(shape, int) for _ in streams]
        for stream, own in zip(streams, counts, strict=True):
            for spike in stream:
                own[spike[1:]] += spike[0] <= end
        found = _neuron(sample, "bin", *counts, time=int(min(end, bins[-1])))
        if found:
            return found
    return None


def _event(sample, one, other):
    """Compare runs of simultaneous spikes, whose order is arbitrary."""
    n = min(len(one), len(other))
    begins = [i for i in range(n) if i == 0 or all(s[i][0] != s[i - 1][0] for s in (one, other))]
    for start, stop in pairwise([*begins, n]):
        run = [Counter(s[1:] for s in stream[start:stop]) for stream in (one, other)]
        if run[0] != run[1]:
            return _odd(sample, (one, other), start, stop, n)
    return _odd(sample, (one, other), n, n, n) if len(one) != len(other) else None


def _odd(sample, streams, start, stop, n):
    """Return the first spike from `start` on that the other stream lacks in its run."""
    runs = []
    for stream in streams:
        end = max(stop, start + 1)
        if end >= n:
            while end < len(stream) and stream[end][0] == stream[end - 1][0]:
                end += 1
        runs.append([spike[1:] for spike in stream[start:end]])
    index = start
    for own, other in (runs, runs[::-1]):
        left = Counter(other)
        missing = []
        for offset, place in enumerate(own):
            if not left[place]:
                missing.append(offset)
            left[place] -= 1
        if missing:
            index = start + missing[0]
            break
    spikes = [stream[index] if index < len(stream) else None for stream in streams]
    times = [spike and spike[0] for spike in spikes]
    return _found(sample, "event", index, times, [s and s[1:] for s in spikes], (None, None))


def decision(spikes, start):
    """Return the µs to the first spike, and to the one from which the leading class stays."""
    leaders, so_far = [], Counter()
    for _, p, *_ in spikes:
        so_far[p] += 1
        leaders.append(min(so_far, key=lambda one: (-so_far[one], one)))
    stays = len(leaders) - 1
    while stays and leaders[stays - 1] == leaders[-1]:
        stays -= 1
    return spikes[0][0] - start, spikes[stays][0] - start


def percentile(values, share):
    """Return what lies at a share of the sorted values, between two of them in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
