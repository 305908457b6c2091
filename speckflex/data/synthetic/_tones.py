"""Synthetic tones: rising and falling melodies on the 700 units of SHD."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from speckflex.data.dataset import EventDataset
from speckflex.events.streams import make_events

__all__ = ["open_synthetic_tones"]

CLASSES = ("rising", "falling")
SHAPE = (1, 1, 700)  # as SHD and SSC: units, from low to high
SIZES = {"train": 400, "test": 200}
N_TONES = 5
TONE_US = (100_000, 180_000)  # shortest and longest tone
LONGEST_START_US = 100_000
SPIKES = 120  # of a tone, on average
SPREAD = 25.0  # units, standard deviation of a tone's spikes
NOISE = 300  # spikes of a recording at any unit and time, on average
LAST_US = 1_000_000


class Melody(NamedTuple):
    """One recording to be simulated."""

    label: int
    split: str
    number: int
    seed: int

    def __str__(self) -> str:
        return f"synthetic tones {self.number}, {CLASSES[self.label]}, seed {self.seed}"


def open_synthetic_tones(split: str, *, seed: int = 0, cache_folder: object = None) -> EventDataset:
    """Return simulated melodies of five tones that rise or fall, 400 to train and 200 to test.

    The same tones with the same numbers of spikes make both classes, so only their order tells
    them apart: a network that does not carry anything from one time to the next is at chance.

    Args:
        split: train, test or all.
        seed: of tones and spikes.
        cache_folder: nothing is kept, because a recording is simulated as fast as it is read.
    """
    melodies = [
        Melody(number % 2, name, number, seed)
        for name, size in SIZES.items()
        if split in ("all", name)
        for number in range(size)
    ]
    return EventDataset(
        name="synthetic-tones",
        shape=SHAPE,
        classes=CLASSES,
        labels=np.array([melody.label for melody in melodies], np.int64),
        synthetic=True,
        items=tuple(melodies),
        read=simulate_melody,
    )


def simulate_melody(melody: Melody) -> np.ndarray:
    """Return the spikes of one melody, ordered by time, within 1 s."""
    part = list(SIZES).index(melody.split)
    rng = np.random.default_rng((melody.seed, part, melody.number))
    centres = (np.arange(N_TONES) + 0.5) * SHAPE[2] / N_TONES + rng.uniform(-20, 20, N_TONES)
    # all of a tone is drawn before the order, so that no sum over time knows the class
    lengths, spikes = rng.integers(*TONE_US, N_TONES), rng.poisson(SPIKES, N_TONES)
    order = np.arange(N_TONES) if CLASSES[melody.label] == "rising" else np.arange(N_TONES)[::-1]
    start = int(rng.integers(0, LONGEST_START_US))
    starts = np.zeros(N_TONES, np.int64)
    starts[order] = start + np.cumsum(lengths[order]) - lengths[order]
    units = np.repeat(centres, spikes) + rng.normal(0, SPREAD, spikes.sum())
    times = np.repeat(starts, spikes) + rng.random(spikes.sum()) * np.repeat(lengths, spikes)
    n_noise = rng.poisson(NOISE)
    units = np.concatenate([units, rng.uniform(0, SHAPE[2], n_noise)])
    times = np.concatenate([times, rng.uniform(0, LAST_US, n_noise)])
    order_in_time = np.argsort(times, kind="stable")
    places = np.clip(units, 0, SHAPE[2] - 1).astype(np.int64)[order_in_time]
    zeros = np.zeros(len(places), np.int64)
    return make_events(times[order_in_time].astype(np.int64), places, zeros, zeros)
