"""Eleven gestures of two simulated arms: the position of the joints at each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GESTURES", "Body", "Pose", "pose"]

RIGHT, LEFT = 0, 1  # of the person, who faces the camera: the right arm is left in the image
SIDES = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class Body:
    """The proportions of a person, in pixels of a sensor of 128 x 128.

    Attributes:
        centre: (y, x) of the middle between the shoulders.
        scale: size, 1 at the usual distance.
        shoulder: from the middle to a shoulder.
        upper_arm: from shoulder to elbow.
        forearm: from elbow to hand.
        thickness: radius of an arm.
    """

    centre: tuple[float, float] = (52.0, 64.0)
    scale: float = 1.0
    shoulder: float = 15.0
    upper_arm: float = 21.0
    forearm: float = 21.0
    thickness: float = 3.6


@dataclass(frozen=True)
class Pose:
    """The joints of both arms over time, each `(time, side, 2)`: y and x in pixels."""

    shoulders: np.ndarray
    elbows: np.ndarray
    hands: np.ndarray


def pose(label: int, phase: np.ndarray, body: Body, rng: np.random.Generator) -> Pose:
    """Return the joints during a gesture.

    Args:
        label: index into `GESTURES`, the order of DVS-Gesture's classes.
        phase: `(time,)` radians; one turn is one repetition.
        body: the person.
        rng: draws the size of the movement, and the movement itself for "Other gestures".
    """
    amplitude = rng.uniform(0.8, 1.2)
    hands = GESTURES[label](phase, amplitude, rng) * body.scale
    shoulders = np.zeros_like(hands)
    shoulders[..., 1] = SIDES * body.shoulder * body.scale
    lengths = body.upper_arm * body.scale, body.forearm * body.scale
    elbows, hands = _reach(shoulders, hands, *lengths)
    centre = np.array(body.centre)
    return Pose(shoulders + centre, elbows + centre, hands + centre)


def _reach(
    shoulders: np.ndarray, hands: np.ndarray, upper_arm: float, forearm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return elbows and hands so that both bones keep their length and elbows point outwards.

    Two circles meet at distance `a = (u^2 - f^2 + d^2) / 2d` from the shoulder, and
    `h = sqrt(u^2 - a^2)` from the line to the hand.
    """
    line = hands - shoulders
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    shortest, longest = abs(upper_arm - forearm) + 1, upper_arm + forearm - 0.1
    reached = np.clip(distance, shortest, longest)
    direction = line / np.maximum(distance, 1e-6)
    along = (upper_arm**2 - forearm**2 + reached**2) / (2 * reached)
    beside = np.sqrt(np.maximum(upper_arm**2 - along**2, 0))
    normal = np.stack([direction[..., 1], -direction[..., 0]], axis=-1) * SIDES[:, None]
    elbows = shoulders + along * direction + beside * normal
    return elbows, shoulders + reached * direction


def _hands(n_times: int) -> np.ndarray:
    """Return hands that hang at the sides."""
    hands = np.empty((n_times, 2, 2))
    hands[..., 0] = 38.0
    hands[..., 1] = SIDES * 20.0
    return hands


def _clap(phase: np.ndarray, amplitude: float, _: np.random.Generator) -> np.ndarray:
    hands = _hands(len(phase))
    hands[..., 0] = 12.0
    hands[..., 1] = SIDES * (4 + 9 * amplitude * (1 + np.cos(phase)))[:, None]
    return hands


def _wave(side: int) -> Callable[..., np.ndarray]:
    def hands_of_wave(phase: np.ndarray, amplitude: float, _: np.random.Generator) -> np.ndarray:
        hands = _hands(len(phase))
        swing = 0.7 * amplitude * np.sin(phase)
        hands[:, side, 0] = -8 - 22 * np.cos(swing)
        hands[:, side, 1] = SIDES[side] * 28 + 22 * np.sin(swing)
        return hands

    return hands_of_wave


def _circle(side: int, direction: int) -> Callable[..., np.ndarray]:
    """Return a large circle of one arm, clockwise in the image for direction 1."""

    def hands_of_circle(phase: np.ndarray, amplitude: float, _: np.random.Generator) -> np.ndarray:
        hands = _hands(len(phase))
        hands[:, side, 0] = 24 * amplitude * np.sin(direction * phase)
        hands[:, side, 1] = SIDES[side] * 22 + 24 * amplitude * np.cos(direction * phase)
        return hands

    return hands_of_circle


def _roll(phase: np.ndarray, amplitude: float, _: np.random.Generator) -> np.ndarray:
    hands = _hands(len(phase))
    turns = phase[:, None] + np.array([0, np.pi])
    hands[..., 0] = 14 + 9 * amplitude * np.sin(turns)
    hands[..., 1] = SIDES * 3 + 6 * amplitude * np.cos(turns)
    return hands


def _drums(phase: np.ndarray, amplitude: float, _: np.random.Generator) -> np.ndarray:
    hands = _hands(len(phase))
    hands[..., 0] = 14 + 11 * amplitude * np.sin(phase[:, None] + np.array([0, np.pi]))
    hands[..., 1] = SIDES * 17
    return hands


def _guitar(phase: np.ndarray, amplitude: float, _: np.random.Generator) -> np.ndarray:
    hands = _hands(len(phase))
    hands[:, RIGHT, 0] = 26 + 10 * amplitude * np.sin(phase)
    hands[:, RIGHT, 1] = -4 + 3 * np.cos(phase)
    hands[:, LEFT, 0] = 4 + 1.5 * np.sin(phase / 3)
    hands[:, LEFT, 1] = 38 + 4 * amplitude * np.sin(phase / 2)
    return hands


def _other(phase: np.ndarray, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Return hands on Lissajous curves that are drawn anew for each recording."""
    rates = rng.choice([0.5, 1.0, 1.5, 2.0], (2, 2))
    shifts = rng.uniform(0, 2 * np.pi, (2, 2))
    middles = np.stack([rng.uniform(-15, 25, 2), SIDES * rng.uniform(10, 30, 2)], axis=1)
    return middles + amplitude * rng.uniform(3, 9, (2, 2)) * np.sin(
        rates * phase[:, None, None] + shifts
    )


# In the order of `tonic.datasets.DVSGesture.classes`. Each returns the hands `(time, side, 2)` for
# a phase `(time,)` in radians: y (downwards) and x in pixels from the middle between the shoulders.
GESTURES = (
    _clap,
    _wave(RIGHT),
    _wave(LEFT),
    _circle(RIGHT, 1),
    _circle(RIGHT, -1),
    _circle(LEFT, 1),
    _circle(LEFT, -1),
    _roll,
    _drums,
    _guitar,
    _other,
)
