"""The outputs over time in the file of a shard: arrays of all samples, one behind the other."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.analysis.readings import Reading, Spent
from speckflex.deployment._output_readings import OutputReadings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["plain_readings", "read_readings"]

Numbers = tuple[int | None, ...]


def plain_readings(readings: OutputReadings, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return what a manifest states of readings.

    Args:
        readings: of the samples of a shard.
        arrays: takes the arrays, by name.
    """
    for n, of_role in enumerate(readings.by_role.values()):
        arrays |= _plain_role(f"reading-{n}", of_role)
    for n, steps in enumerate(readings.steps):
        arrays[f"steps-{n}"] = steps
    return {
        "roles": list(readings.by_role),
        "steps": len(readings.steps),
        "problem": readings.problem,
    }


def _plain_role(name: str, readings: Sequence[Reading]) -> dict[str, np.ndarray]:
    spent = [one.spent for one in readings]
    work = [None if one is None else one.synops for one in spent]
    rows = [
        (
            reading.end,
            len(reading.times),
            0 if one is None else one.step,
            0 if one is None else len(one.spikes),
            0 if synops is None else len(synops),
        )
        for reading, one, synops in zip(readings, spent, work, strict=True)
    ]
    return {
        f"{name}-rows": np.array(rows, np.int64).reshape(-1, 5),
        f"{name}-times": _joined([one.times for one in readings]),
        f"{name}-classes": _joined([one.classes for one in readings]),
        f"{name}-spikes": _joined([one.spikes for one in spent if one is not None]),
        f"{name}-synops": _joined([one for one in work if one is not None]),
    }


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *arrays]).astype(np.int64)


def read_readings(
    stated: dict[str, Any], array: Callable[[str, Numbers], np.ndarray], n_samples: int
) -> OutputReadings:
    """Return the readings that a manifest states.

    Args:
        stated: what `plain_readings` returned.
        array: returns the int64 array of that name, of a shape in which None is any length.
        n_samples: number of samples of the shard.

    Raises:
        ValueError: the arrays do not fit each other.
    """
    roles, problem = [str(role) for role in stated["roles"]], str(stated["problem"])
    by_role = {role: _read_role(f"reading-{n}", array) for n, role in enumerate(roles)}
    steps = [array(f"steps-{n}", (None, None, None)) for n in range(int(stated["steps"]))]
    found = {len(one) for one in by_role.values()}
    found |= {sum(map(len, steps))} if steps else set()
    if not problem and found - {n_samples}:
        raise ValueError(f"it holds outputs of {sorted(found)} samples in place of {n_samples}")
    return OutputReadings(by_role, steps, problem)


def _read_role(name: str, array: Callable[[str, Numbers], np.ndarray]) -> list[Reading]:
    rows = array(f"{name}-rows", (None, 5))
    if (rows < 0).any():
        raise ValueError(f"{name} states a negative length")
    ends, n_times, steps, n_spent, n_synops = rows.T
    times = _cut(array(f"{name}-times", (None,)), n_times)
    classes = _cut(array(f"{name}-classes", (None,)), n_times)
    spikes = _cut(array(f"{name}-spikes", (None,)), n_spent)
    synops = _cut(array(f"{name}-synops", (None,)), n_synops)
    return [
        Reading(
            int(end),
            times[n],
            classes[n].astype(np.int16),
            Spent(int(steps[n]), spikes[n], synops[n] if n_synops[n] else None)
            if steps[n] and n_spent[n]
            else None,
        )
        for n, end in enumerate(ends)
    ]


def _cut(values: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return the parts of an array that have these lengths."""
    bounds = np.cumsum([0, *lengths]).tolist()
    if bounds[-1] != len(values):
        raise ValueError(f"{len(values)} numbers are there, {bounds[-1]} are stated")
    return [values[start:stop] for start, stop in pairwise(bounds)]
