"""The temporal transformation module between stages of different lengths (MTT, 4.3.2)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from speckflex.errors import TrainingError
from speckflex.kernels.by_sample import run_by_sample
from speckflex.kernels.sum_frames import sum_frames
from speckflex.training.mixed.timesteps import check_count, group_boundaries
from speckflex.training.rules import DOWNSAMPLINGS, UPSAMPLINGS, Downsampling, Upsampling

__all__ = ["TemporalTransform", "count_frames"]


class TemporalTransform(nn.Module):
    """Change the number of time steps of frames; without parameters or state.

    Fewer frames: with "sum", the paper's rule, the sum of each group of `group_boundaries`, which
    conserves charge; with "trim" the first `n_frames` frames alone, as the published network for
    DVS-Gesture takes its input. More frames:
    with "copy", the paper's rule, each frame of a group is a copy of the frame, so charge grows
    with the length; with "spread" the spikes of the frame are spread over its group in whole
    numbers, so that the running sum is always nearest to the even one, and charge is conserved (a
    fraction of a spike goes to the group's last frame). Equal length: the same tensor.
    With "rate" both directions keep the mean of the frames: each new frame is the mean of what
    lies in its time, where a frame that lies there in part counts in part. This is a choice of
    this project, for stages whose spikes are worth different amounts.
    Sums of whole numbers are exact as long as the dtype holds them.

    The gradient of "spread" is that of the even split, `1 / group size` (straight through).

    Args:
        n_frames: number of frames of the output, at least 1.
        upsampling: "copy", "spread" or "rate".
        downsampling: "sum", "trim" or "rate".

    Raises:
        TrainingError: `n_frames` is no count, or a rule is not known.
    """

    def __init__(
        self,
        n_frames: int,
        *,
        upsampling: Upsampling = "copy",
        downsampling: Downsampling = "sum",
    ) -> None:
        super().__init__()
        rules = {
            "upsampling": (upsampling, UPSAMPLINGS),
            "downsampling": (downsampling, DOWNSAMPLINGS),
        }
        for name, (rule, choices) in rules.items():
            if rule not in choices:
                raise TrainingError(
                    f"{name} {rule!r} is not known: choose one of {', '.join(choices)}"
                )
        self.n_frames = check_count(n_frames, "frames of a temporal transform")
        self.upsampling: Upsampling = upsampling
        self.downsampling: Downsampling = downsampling

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return `(batch, n_frames, ...)` from `(batch, time, ...)`, of the same dtype.

        Means of whole numbers are float32.
        """
        n_input = frames.shape[1]
        if n_input == self.n_frames:
            return frames
        rule = self.downsampling if n_input > self.n_frames else self.upsampling
        if rule == "rate":
            floats = frames if frames.is_floating_point() else frames.float()
            overlap = torch.from_numpy(_overlap(n_input, self.n_frames)).to(floats)
            return torch.einsum("oi,bi...->bo...", overlap, floats)
        if n_input > self.n_frames:
            if self.downsampling == "trim":
                return frames[:, : self.n_frames]
            return _sum_groups(frames, self.n_frames)
        groups, _, _ = _positions(n_input, self.n_frames)
        copied = frames.index_select(1, groups.to(frames.device))
        return copied if self.upsampling == "copy" else _spread(copied, n_input)

    def edges(self, edges: np.ndarray) -> np.ndarray:
        """Return where in time the new frames begin and end, from where the given ones do.

        Sums and kept frames have the time of what they are made of. Copies share their frame's
        time evenly, and means share the whole time.

        Args:
            edges: `(time + 1,) float64`, ascending: frame k lies from entry k to entry k + 1.

        Returns:
            `(n_frames + 1,) float64`.
        """
        n_input = len(edges) - 1
        fewer = n_input > self.n_frames
        rule = self.downsampling if fewer else self.upsampling
        if rule == "trim":
            return edges[: self.n_frames + 1]
        if rule == "rate":
            places = np.arange(self.n_frames + 1) * n_input / self.n_frames
            return np.interp(places, np.arange(n_input + 1), edges)
        if fewer:
            return edges[group_boundaries(self.n_frames, n_input)]
        return np.interp(
            np.arange(self.n_frames + 1), group_boundaries(n_input, self.n_frames), edges
        )

    def extra_repr(self) -> str:
        """Return the text between the brackets of the module's repr."""
        rules = f"upsampling={self.upsampling!r}, downsampling={self.downsampling!r}"
        return f"n_frames={self.n_frames}, {rules}"


def count_frames(frames: torch.Tensor, n_frames: int, dtype: torch.dtype) -> torch.Tensor:
    """Return integer frames as floats, at most `n_frames` of them: the first step of a pass.

    The result is that of `TemporalTransform` for the same frames as floats, but full-length
    floats, which are often the largest tensor of a pass, are never made.

    Args:
        frames: `(batch, time, ...)`, counts.
        n_frames: as for `TemporalTransform`; fewer frames than that keep their number.
        dtype: of the result.
    """
    n_input = frames.shape[1]
    if frames.device.type != "cpu" or n_input <= n_frames or not frames.numel():
        floats = frames.to(dtype)
        return floats if n_input <= n_frames else _sum_groups(floats, n_frames)
    sums = torch.empty((len(frames), n_frames, *frames.shape[2:]), dtype=torch.float32)
    arrays = [
        tensor.contiguous().numpy().reshape(*tensor.shape[:2], -1) for tensor in (frames, sums)
    ]
    boundaries = np.asarray(group_boundaries(n_frames, n_input), np.int64)
    run_by_sample(sum_frames, arrays, [boundaries], torch.get_num_threads())
    return sums.to(dtype)


def _sum_groups(frames: torch.Tensor, n_groups: int) -> torch.Tensor:
    groups, _, _ = _positions(n_groups, frames.shape[1])
    summed = frames.new_zeros((frames.shape[0], n_groups, *frames.shape[2:]))
    # In place, because the other form copies the zeros first, which takes longer than the sum.
    return summed.index_add_(1, groups.to(frames.device), frames)


def _spread(copied: torch.Tensor, n_groups: int) -> torch.Tensor:
    """Spread n spikes, which `copied` repeats, over g frames: frame j gets `c[j + 1] - c[j]`.

    `c[j] = ceil(n * j / g - 1/2)`, the rule of the boundaries, and `c[g] = n`.
    """
    _, places, sizes = _positions(n_groups, copied.shape[1])
    trailing = (1,) * (copied.ndim - 2)
    place = places.to(copied.device).view(1, -1, *trailing)
    size = sizes.to(copied.device).view(1, -1, *trailing)
    with torch.no_grad():
        before = torch.ceil(copied * place / size - 0.5)
        after = torch.where(
            place + 1 == size, copied, torch.ceil(copied * (place + 1) / size - 0.5)
        )
        dealt = (after - before).to(copied.dtype)
    if not copied.requires_grad:
        return dealt
    even = copied / size
    return dealt + (even - even.detach())


@lru_cache(maxsize=1024)
def _overlap(n_input: int, n_output: int) -> np.ndarray:
    """Return `(n_output, n_input) float64`: the share of an output frame's time in an input's.

    In units of `1 / (n_input * n_output)` of the whole time, so that a row sums up to 1.
    """
    starts = np.arange(n_output)[:, None] * n_input, np.arange(n_input)[None] * n_output
    first = np.maximum(*starts)
    last = np.minimum(starts[0] + n_input, starts[1] + n_output)
    return np.maximum(last - first, 0) / n_input


@lru_cache(maxsize=1024)
def _positions(n_groups: int, n_frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return each frame's group, its place in the group and the group's size, (n_frames,) int64."""
    boundaries = group_boundaries(n_groups, n_frames)
    sizes = np.diff(boundaries)
    groups = np.repeat(np.arange(n_groups), sizes)
    places = np.arange(n_frames) - boundaries[groups]
    return torch.from_numpy(groups), torch.from_numpy(places), torch.from_numpy(sizes[groups])
