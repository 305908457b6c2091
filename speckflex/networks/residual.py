"""Parts of time-stepped networks: residual blocks, stages of several layers, scaled pixels."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from speckflex.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PixelScale", "ResidualBlock", "Stage", "normed_convolution"]

# Means and standard deviations of ImageNet's pixels in red, green and blue, of 1.
PIXEL_MEANS = (0.485, 0.456, 0.406)
PIXEL_DEVIATIONS = (0.229, 0.224, 0.225)
WHITE = 255.0


class Stage(nn.Sequential):
    """Layers that always run at one number of time steps: they are one block to `split_stages`."""


class PixelScale(nn.Module):
    """Scale pixels of 0 to 255 to a mean of 0 and a deviation of 1, channel by channel.

    Args:
        means: of each channel, where white is 1.
        deviations: of each channel.

    Raises:
        NetworkError: a deviation is not above 0, or the two are not equally many.
    """

    means: torch.Tensor
    deviations: torch.Tensor

    def __init__(
        self,
        means: Sequence[float] = PIXEL_MEANS,
        deviations: Sequence[float] = PIXEL_DEVIATIONS,
    ) -> None:
        super().__init__()
        # buffers, because they are no parameters that train or count
        self.register_buffer("means", torch.tensor(means, dtype=torch.float32))
        self.register_buffer("deviations", torch.tensor(deviations, dtype=torch.float32))
        problem = self.problem
        if problem:
            raise NetworkError(f"PixelScale {problem}")

    @property
    def problem(self) -> str:
        """What is wrong with the numbers, as the end of a sentence; "" if nothing is."""
        if self.means.shape != self.deviations.shape or self.means.ndim != 1:
            return "has other numbers of means than of deviations: give one for each channel"
        if self.means.is_meta:  # a network of shapes alone
            return ""
        if not bool((self.deviations > 0).all() and self.means.isfinite().all()):
            return "has a deviation that is not above 0, or a mean that is no number"
        return ""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the scaled pixels, `(batch * time, channel, y, x)` as they came."""
        trailing = (-1, 1, 1)
        means, deviations = self.means.view(trailing), self.deviations.view(trailing)
        return (pixels / WHITE - means) / deviations


class ResidualBlock(nn.Module):
    """Two convolutions with a short cut past them: conv, norm, neuron, conv, norm, plus, neuron.

    The short cut is the input itself, or a convolution of 1x1 with a norm where the block changes
    its channels or its size (MTT's ResNets; He et al. 2016 with spikes).

    Args:
        channels: of the input.
        out: channels of the output.
        neuron: makes a new neuron layer at each call.
        stride: of the first convolution and of the short cut.
    """

    def __init__(
        self, channels: int, out: int, neuron: Callable[[], nn.Module], *, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1, self.norm1 = normed_convolution(channels, out, stride=stride)
        self.spike1 = neuron()
        self.conv2, self.norm2 = normed_convolution(out, out)
        self.shortcut: nn.Module = nn.Identity()
        if channels != out or stride != 1:
            conv, norm = normed_convolution(channels, out, stride=stride, kernel=1)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=norm))
        self.spike2 = neuron()

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        """Return spikes `(batch * time, out, y, x)` of spikes `(batch * time, channel, y, x)`."""
        hidden = self.spike1(self.norm1(self.conv1(spikes)))
        return self.spike2(self.norm2(self.conv2(hidden)) + self.shortcut(spikes))


def normed_convolution(
    channels: int, out: int, *, stride: int = 1, kernel: int = 3
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Return a convolution without bias, padded to its input's size, and the norm behind it."""
    conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(out)
