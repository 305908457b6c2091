"""Synthetic gestures: simulated people in front of an event sensor, in DVS-Gesture's layout."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from speckflex.data.dataset import EventDataset
from speckflex.data.formats.dvs_gesture import (
    CLASSES,
    SHAPE,
    TEST,
    TRAIN,
    open_gesture_folder,
    write_gesture_file,
)
from speckflex.data.synthetic._arms import Body, Pose, pose
from speckflex.data.synthetic._sensor import EventSensor
from speckflex.data.synthetic.files import write_split

__all__ = ["open_synthetic_gestures", "write_synthetic_gestures"]

# As in DVS-Gesture, tests see people who are not in the training data.
USERS = {"train": range(1, 24), "test": range(24, 30)}
# Each light: brightness of the background, contrast of the person, noise events per pixel and s.
LIGHTS = {"lab": (0.25, 0.9, 0.1), "natural": (0.4, 0.6, 0.2)}
VERSION = 2  # of the simulation: raise it when the recordings change
PIXELS = SHAPE[1]
AXIS = np.arange(PIXELS, dtype=np.float32)
STEP_US = 5_000
MAX_EVENTS = 60_000  # a recording ends there, so that none takes long to play
SHIRT = 0.55  # brightness of the trunk relative to the arms, so that arms are seen against it


class Take(NamedTuple):
    """One recording to be simulated: the person, the light and the gesture."""

    user: int
    light: str
    label: int
    seed: int

    def __str__(self) -> str:
        return f"synthetic gesture {self.label}, user {self.user}, {self.light}, seed {self.seed}"


def open_synthetic_gestures(
    split: str, *, seed: int = 0, cache_folder: Path | None = None
) -> EventDataset:
    """Return simulated recordings of the eleven classes of DVS-Gesture.

    29 simulated people, 23 to train and 6 to test, each in two lights: 506 and 132 recordings
    of 1.2 to 1.8 s, or shorter where 60000 events are reached before.

    Args:
        split: train, test or all.
        seed: of the people, their movements and the sensor's noise.
        cache_folder: where to keep the recordings as files in DVS-Gesture's layout (times then
            in whole milliseconds, as in tonic's copy); without one each recording is simulated
            when it is read, and nothing is written.
    """
    if cache_folder is not None:
        folder = write_synthetic_gestures(cache_folder, seed=seed, split=split)
        return open_gesture_folder(folder, split)
    takes = [take for name in USERS if split in ("all", name) for take in _takes(name, seed)]
    return EventDataset(
        name="synthetic-gestures",
        shape=SHAPE,
        classes=CLASSES,
        labels=np.array([take.label for take in takes], np.int64),
        synthetic=True,
        items=tuple(takes),
        read=simulate_gesture,
    )


def write_synthetic_gestures(
    folder: str | Path, *, seed: int = 0, split: str = "all", users: int | None = None
) -> Path:
    """Write synthetic gestures in the layout of tonic's DVS-Gesture and return their folder.

    The folder is `synthetic-gestures-<seed>` inside `folder` (its name ends in the number of
    users where one is given), with `ibmGestureTrain` and `ibmGestureTest` in it, each with the
    mark `synthetic.json`. A split that is complete is not written again.

    Args:
        folder: where to write.
        seed: of the people, their movements and the sensor's noise.
        split: train, test or all.
        users: the number of people in each split, with 22 recordings each; None for all 29.

    Raises:
        EventsError: the folder can't be written to.
    """
    name = f"synthetic-gestures-{seed}" + (f"-{users}-users" if users else "")
    settings = {"data": name, "seed": seed, "version": VERSION}
    for part, layout in (("train", TRAIN), ("test", TEST)):
        if split in ("all", part):
            takes = [
                (f"user{take.user:02d}_{take.light}/{take.label}.npy", take)
                for take in _takes(part, seed)[: users and users * len(LIGHTS) * len(CLASSES)]
            ]
            place = Path(folder) / name / layout
            write_split(place, settings, takes, simulate_gesture, write_gesture_file)
    return Path(folder) / name


def simulate_gesture(take: Take) -> np.ndarray:
    """Return the events of one simulated recording, ordered by time, at most 1.8 s."""
    person = np.random.default_rng((take.seed, take.user))
    body = Body(
        scale=person.uniform(0.85, 1.15),
        shoulder=person.uniform(13, 17),
        upper_arm=person.uniform(19, 23),
        forearm=person.uniform(19, 23),
        thickness=person.uniform(3.0, 4.2),
    )
    lights = tuple(LIGHTS)
    rng = np.random.default_rng((take.seed, take.user, lights.index(take.light), take.label))
    background, contrast, noise_hz = LIGHTS[take.light]
    times = np.arange(0, int(rng.uniform(1.2e6, 1.8e6)), STEP_US)
    joints = pose(take.label, _phase(times, rng), body, rng)
    frames = background + contrast * _silhouette(joints, body, _sway(times, rng))
    sensor = EventSensor(threshold=0.22, noise_hz=noise_hz * rng.uniform(0.5, 2), jitter_us=1000)
    return sensor.observe(frames, times, rng)[:MAX_EVENTS]


def _takes(split: str, seed: int) -> list[Take]:
    return [
        Take(user, light, label, seed)
        for user in USERS[split]
        for light in LIGHTS
        for label in range(len(CLASSES))
    ]


def _phase(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the phase in radians: 0.8 to 1.8 repetitions a second, not quite steady."""
    rate = rng.uniform(0.8, 1.8)
    unsteady = rng.uniform(0, 0.3) * np.sin(rng.uniform(1, 4) * times / 1e6 + rng.uniform(0, 6))
    return 2 * np.pi * (rate * times / 1e6 + rng.uniform()) + unsteady


def _sway(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the (y, x) offset of the whole person, `(time, 2)` pixels."""
    place = rng.uniform((-6, -10), (6, 10))
    slow = np.sin(times[:, None] / 1e6 * rng.uniform(2, 5, 2) + rng.uniform(0, 6, 2))
    return place + slow * rng.uniform(0.3, 1.5, 2)


def _silhouette(joints: Pose, body: Body, offsets: np.ndarray) -> np.ndarray:
    """Return the brightness of the person in each pixel, `(time, 128, 128)` from 0 to 1."""
    radius = body.thickness * body.scale
    middle = joints.shoulders.mean(axis=1)
    up, down = np.array([17.0, 0]) * body.scale, np.array([34.0, 0]) * body.scale
    bones = [
        (middle + 0.3 * down, middle + down, 11 * body.scale, SHIRT),
        (middle - up, middle - 1.1 * up, 8 * body.scale, 1.0),
    ]
    for side in range(2):
        shoulder, elbow, hand = (
            joint[:, side] for joint in (joints.shoulders, joints.elbows, joints.hands)
        )
        bones += [
            (shoulder, elbow, radius, 1.0),
            (elbow, hand, radius, 1.0),
            (hand, hand, 1.3 * radius, 1.0),
        ]
    cover = np.zeros((len(offsets), PIXELS, PIXELS), np.float32)
    for start, end, thickness, brightness in bones:
        _draw(cover, start + offsets, end + offsets, thickness, brightness)
    return cover


def _draw(
    cover: np.ndarray, starts: np.ndarray, ends: np.ndarray, radius: float, brightness: float
) -> None:
    """Draw one rounded bone a frame into `cover`, with edges a pixel wide; the brighter wins."""
    margin = radius + 1
    starts, ends = starts.astype(np.float32), ends.astype(np.float32)
    low = np.floor(np.minimum(starts, ends) - margin).astype(int).clip(0, PIXELS)
    high = np.ceil(np.maximum(starts, ends) + margin).astype(int).clip(0, PIXELS) + 1
    for frame, start, end, (top, left), (bottom, right) in zip(
        cover, starts, ends, low, high, strict=True
    ):
        part = frame[top:bottom, left:right]
        y = AXIS[top : top + part.shape[0], None] - start[0]
        x = AXIS[left : left + part.shape[1]] - start[1]
        dy, dx = end - start
        length = max(dy * dy + dx * dx, np.float32(1e-6))
        along = np.minimum(np.maximum((y * (dy / length) + x * (dx / length)), 0), 1)
        y, x = y - along * dy, x - along * dx
        covered = np.minimum(np.maximum(radius + 0.5 - np.sqrt(y * y + x * x), 0), 1)
        np.maximum(part, brightness * covered, out=part)
