"""Augmentation: how the recordings of an epoch are moved, mirrored, reversed and bent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from speckflex._support.extras import need_modules
from speckflex.errors import TrainingError
from speckflex.training._auto_augment import N_DRAWS, apply_policies

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch

__all__ = ["Augmentation", "Changes"]

# What each name of a list sets, and whether it takes a number of pixels.
NAMES = {
    "shift": ("shift", True),
    "crop": ("shift", True),  # a crop of an image with a margin of zeros is a move
    "roll": ("roll", True),
    "flip:lr": ("flip_lr", False),
    "flip:ud": ("flip_ud", False),
    "invert-time": ("invert_time", False),
    "warp": ("warp", True),
    "cutout": ("cutout", True),
    "autoaugment": ("autoaugment", False),
}
# A warp moves this many points in y and in x, the outer ones at the edges; what lies between them
# moves with them.
WARP_POINTS = 4


@dataclass(frozen=True)
class Augmentation:
    """What may be changed in each recording, drawn anew in each epoch.

    Args:
        shift: largest move in y and in x, pixels; what leaves the image is lost. This is also the
            random crop of an image with as wide a margin of zeros.
        roll: largest move in y and in x, pixels; what leaves the image enters on the other side.
        flip_lr: exchange left and right with probability 1/2.
        flip_ud: exchange top and bottom with probability 1/2.
        invert_time: reverse time with probability 1/2, and exchange the polarities of a sensor
            that has two, because what became brighter then becomes darker.
        warp: largest move of each of 4 x 4 points, pixels: the image is rotated, stretched, sheared
            and bent, as other handwriting is.
        cutout: side of a square, pixels, in which nothing is left; its centre is anywhere in the
            image (DeVries and Taylor 2017).
        autoaugment: change colours and form of an image by one of the policies that Cubuk et al.
            (2019) found for CIFAR-10; needs torchvision.
    """

    shift: int = 0
    roll: int = 0
    flip_lr: bool = False
    flip_ud: bool = False
    invert_time: bool = False
    warp: int = 0
    cutout: int = 0
    autoaugment: bool = False

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """Return the augmentation of a list such as "roll:20,flip:lr"; "" for none.

        Raises:
            TrainingError: a name is not known, comes twice, or has no number of pixels.
            MissingExtraError: "autoaugment" is in the list, and torchvision is not installed.
        """
        found: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, pixels = part.partition(":")
            field, counted = NAMES.get(name if name in NAMES else part, ("", False))
            if not field:
                raise TrainingError(
                    f"augmentation {part!r} is not known: choose among shift:N or crop:N, roll:N,"
                    " warp:N, cutout:N, flip:lr, flip:ud, invert-time and autoaugment, with commas"
                    " between them"
                )
            if field in found:
                raise TrainingError(
                    f"augmentation {part!r}: {field.replace('_', ' ')} comes twice in {text!r}:"
                    " give it once"
                )
            found[field] = _pixels(part, pixels) if counted else True
        if "autoaugment" in found:
            need_modules("torchvision", work="augmentation autoaugment")
        return cls(**found)

    def draw(self, n_recordings: int, generator: np.random.Generator) -> Changes:
        """Return what changes in each of `n_recordings` recordings in one epoch."""
        size = (n_recordings, 2)
        # Shifts are always drawn, so that a training from an earlier version resumes to its bits.
        shifts = generator.integers(-self.shift, self.shift + 1, size=size)
        rolls = shifts * 0
        if self.roll:
            rolls = generator.integers(-self.roll, self.roll + 1, size=size)
        flips = shifts < -self.shift
        for axis, wanted in enumerate((self.flip_ud, self.flip_lr)):
            if wanted:
                flips[:, axis] = generator.random(n_recordings) < 0.5
        inverted = flips[:, 0] & False
        if self.invert_time:
            inverted = generator.random(n_recordings) < 0.5
        points = WARP_POINTS if self.warp else 0
        warps = generator.uniform(-self.warp, self.warp, (n_recordings, 2, points, points))
        centres = generator.random((n_recordings, 2 if self.cutout else 0))
        policies = generator.random((n_recordings, N_DRAWS if self.autoaugment else 0))
        return Changes(shifts, rolls, flips, inverted, policies, warps, centres, self.cutout)


def _pixels(part: str, text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise TrainingError(
            f"augmentation {part!r}: {text or 'nothing'!r} is no number of pixels: write it as"
            " shift:2 is"
        )
    return int(text)


@dataclass(frozen=True, eq=False)
class Changes:
    """The changes of some recordings, made in the order of the fields.

    Args:
        shifts: (recording, 2) int64, pixels in y and x; what leaves the image is lost.
        rolls: (recording, 2) int64, pixels in y and x, around the edges.
        flips: (recording, 2) bool, mirrored in y and in x.
        inverted: (recording,) bool, reversed in time, with polarities exchanged.
        policies: (recording, 5) floats, see `apply_policies`; (recording, 0) for none.
        warps: (recording, 2, points, points) floats, pixels in y and x, where each point of a grid
            takes its events from; no points for no warp.
        cutouts: (recording, 2) floats, the centre of a square in y and x, as shares of the image;
            (recording, 0) for no square.
        side: of the squares, pixels.
    """

    shifts: np.ndarray
    rolls: np.ndarray
    flips: np.ndarray
    inverted: np.ndarray
    policies: np.ndarray
    warps: np.ndarray
    cutouts: np.ndarray
    side: int

    def select(self, positions: np.ndarray) -> Changes:
        """Return the changes of the recordings at `positions`, (n,) int64."""
        form = (self.shifts, self.rolls, self.flips, self.inverted)
        arrays = (*form, self.policies, self.warps, self.cutouts)
        return Changes(*(array[positions] for array in arrays), side=self.side)

    def of_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """Return changed frames, (recording, time, channel, y, x) of the same dtype."""
        import numpy as np
        import torch

        changed = _shifted(frames, self.shifts)
        if self.rolls.any():
            rolled = [
                torch.roll(recording, offset, dims=(-2, -1))
                for recording, offset in zip(changed, self.rolls.tolist(), strict=True)
            ]
            changed = torch.stack(rolled)
        mirrored = [(self.flips[:, 0], (-2,)), (self.flips[:, 1], (-1,))]
        axes = (1, 2) if frames.shape[2] == 2 else (1,)  # time, and the two polarities
        for chosen, dims in (*mirrored, (self.inverted, axes)):
            if chosen.any():
                where = torch.from_numpy(chosen).view(-1, 1, 1, 1, 1).to(changed.device)
                changed = torch.where(where, changed.flip(dims), changed)
        if self.policies.size:
            changed = apply_policies(changed, self.policies)
        if self.warps.size:
            height, width = frames.shape[-2:]
            # one more pixel, which nothing ever reaches
            padded = torch.nn.functional.pad(changed.flatten(-2), (0, 1))
            warped = [
                recording[..., torch.from_numpy(_sources(warp, (height, width)))]
                for recording, warp in zip(padded, self.warps, strict=True)
            ]
            changed = torch.stack(warped).unflatten(-1, (height, width))
        if self.cutouts.size:
            squares = [self._square(index, frames.shape[-2:]) for index in range(len(frames))]
            outside = ~torch.from_numpy(np.stack(squares)).to(changed.device)
            changed = changed * outside[:, None, None]
        return changed

    def _square(self, index: int, size: Sequence[int]) -> np.ndarray:
        """Return (y, x) bool: the pixels of a recording in which nothing is left."""
        import numpy as np

        centre = self.cutouts[index] * np.array(size)
        inside = [
            abs(np.arange(n) + 0.5 - c) < self.side / 2 for n, c in zip(size, centre, strict=True)
        ]
        return inside[0][:, None] & inside[1]

    def of_events(self, events: np.ndarray, shape: tuple[int, int, int], index: int) -> np.ndarray:
        """Return the changed events of one recording.

        Args:
            events: event array.
            shape: (channel, y, x) of the sensor.
            index: of the recording.

        Raises:
            TrainingError: what is drawn can be done to images alone.
        """
        if self.policies.size:
            raise TrainingError(
                "augmentation autoaugment: events have no colours: leave it out for recordings"
            )
        changed = events.copy()
        inside = changed["x"] >= 0
        for axis, (name, size) in enumerate(zip(("y", "x"), shape[1:], strict=True)):
            values = changed[name].astype("int64") + self.shifts[index, axis]
            inside &= (values >= 0) & (values < size)
            values = (values + self.rolls[index, axis]) % size
            changed[name] = size - 1 - values if self.flips[index, axis] else values
        changed = changed[inside]
        if self.inverted[index] and len(changed):
            changed["t"] = events["t"].min() + events["t"].max() - changed["t"]
            if shape[0] == 2:
                changed["p"] = 1 - changed["p"]
            changed = changed[::-1].copy()
        if self.warps.size:
            changed = _warped(changed, self.warps[index], shape[1:])
        if self.cutouts.size:
            changed = changed[~self._square(index, shape[1:])[changed["y"], changed["x"]]]
        return changed

    def of_labels(self, labels: torch.Tensor, mirrored: np.ndarray | None) -> torch.Tensor:
        """Return the classes of changed recordings.

        Args:
            labels: (recording,) int64.
            mirrored: (class,) int64, the class of each class's image with left and right
                exchanged; None where it is the same.
        """
        import torch

        if mirrored is None or not self.flips[:, 1].any():
            return labels
        return torch.where(
            torch.from_numpy(self.flips[:, 1]), torch.from_numpy(mirrored)[labels], labels
        )


def _sources(warp: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return (y * x,) int64: the flat place that each pixel takes its events from.

    Places outside the image become y * x, one behind the last.

    Args:
        warp: (2, points, points) floats, as in `Changes`; linear between the points.
        size: of the image in y and x.
    """
    import numpy as np

    height, width = size
    points = warp.shape[-1]
    rows, columns = (
        np.maximum(1 - abs(np.linspace(0, points - 1, n)[:, None] - np.arange(points)), 0)
        for n in (height, width)
    )
    moves = np.rint(rows @ warp @ columns.T).astype(np.int64)
    y, x = np.indices((height, width)) + moves
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return np.where(inside, y * width + x, height * width).reshape(-1)


def _warped(events: np.ndarray, warp: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return the events of every pixel that takes some, in the order of the given ones."""
    import numpy as np

    width = size[1]
    sources = _sources(warp, size)
    # for each place the pixels that take its events, one after the other
    takers = np.argsort(sources, kind="stable")
    places = np.arange(len(sources))
    first = np.searchsorted(sources, places, sorter=takers)
    number = np.bincount(sources, minlength=len(sources) + 1)[:-1]
    place = events["y"].astype(np.int64) * width + events["x"]
    copies = number[place]
    ends = np.cumsum(copies)
    within = np.arange(copies.sum()) - np.repeat(ends - copies, copies)
    taker = takers[np.repeat(first[place], copies) + within]
    warped = np.repeat(events, copies)
    warped["y"], warped["x"] = taker // width, taker % width
    return warped


def _shifted(frames: torch.Tensor, shifts: np.ndarray) -> torch.Tensor:
    """Return each recording moved by its (y, x) shift; pixels that leave the image are lost."""
    import torch

    if not shifts.any():
        return frames
    margin = int(abs(shifts).max())
    height, width = frames.shape[-2:]
    padded = torch.nn.functional.pad(frames, (margin,) * 4)
    moved = [
        recording[..., margin - dy : margin - dy + height, margin - dx : margin - dx + width]
        for recording, (dy, dx) in zip(padded, shifts.tolist(), strict=True)
    ]
    return torch.stack(moved)
