"""The time-stepped networks of the MTT paper: residual networks and VGG14 with leaky neurons.

They run in torch only: their neurons leak and reset to 0, and Speck has no residual sums of them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.leaky import LeakySqueeze
from speckflex.networks.residual import PixelScale, ResidualBlock, Stage, normed_convolution

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TIME_STEPPED", "TORCH_ONLY", "TimeSteppedFactory", "is_time_stepped", "leaky_neuron"]

STEMS = ("3x3", "7x7")
# What every report of such a network says.
TORCH_ONLY = "time-stepped in torch only"


def leaky_neuron(leak: float = 0.5) -> LeakySqueeze:
    """Return the neuron of the paper's time-stepped experiments: threshold 1, hard reset."""
    return LeakySqueeze(batch_size=1, leak=leak)


def is_time_stepped(network: nn.Module) -> bool:
    """Return whether a network runs in time steps only: it has leaky neurons of this package."""
    return any(isinstance(module, LeakySqueeze) for module in network.modules())


@dataclass(frozen=True)
class TimeSteppedFactory:
    """Build one of the time-stepped networks; calling it returns a new one.

    Args:
        name: the key in `TIME_STEPPED`.
        layers: of each group the channels and how many blocks it has; a group but the first
            halves the size.
        residual: blocks of two convolutions with a short cut, else single convolutions, with an
            average pooling of 2 behind each group.
        input_shape: (channel, y, x) of a frame.
        n_classes: output features.
        pixels: whether frames are pixels of images, 0 to 255, else counts of events.
        parameters: as the published class counts them, at its own shape and classes.
    """

    name: str
    layers: tuple[tuple[int, int], ...]
    residual: bool
    input_shape: tuple[int, int, int]
    n_classes: int
    pixels: bool
    parameters: int

    @property
    def training_defaults(self) -> dict[str, Any]:
        """The settings of a training that the paper has for such a network, by their names.

        Images move by up to 4 pixels, recordings around the edges by up to 5; a shorter first
        stage gets the first frames alone (A.2).
        """
        return {
            "augment": f"{'shift:4' if self.pixels else 'roll:5'},flip:lr",
            "input_frames": "trim",
            "upsampling": "copy",
            "output": "mean",
            "clip_weights": False,
        }

    def __call__(
        self,
        *,
        width: int | None = None,
        input_shape: tuple[int, int, int] | None = None,
        n_classes: int | None = None,
        leak: float = 0.5,
        stem: str = "3x3",
    ) -> nn.Sequential:
        """Return the network with torch's fresh weights, for squeezed frames.

        A stage of mixed time-step training is a block; the first convolution of a residual network
        belongs to the first block.

        Args:
            width: the most channels, 512 as published; the others shrink with it.
            input_shape: (channel, y, x) of a frame.
            n_classes: output features.
            leak: the share of a potential that the next step still has.
            stem: "3x3", or for residual networks on large images "7x7": a first convolution of
                stride 2, no pooling behind it, and stride 2 in the first block.

        Raises:
            NetworkError: the stem is not known, or width, input or classes are too small.
        """
        widest = max(channels for channels, _ in self.layers)
        width = widest if width is None else width
        shape = self.input_shape if input_shape is None else input_shape
        classes = self.n_classes if n_classes is None else n_classes
        channels = [n * width // widest for n, _ in self.layers]
        self._check(channels, shape, classes, stem)
        neuron = partial(leaky_neuron, leak)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if self.pixels:
            layers["pixels"] = PixelScale(*_of_channels(shape[0]))
        build = self._residual if self.residual else self._plain
        build(layers, channels, neuron, shape=shape, large=stem == "7x7")
        layers["flatten"] = nn.Flatten()
        sides = 1 if self.residual else (shape[1] >> len(channels)) * (shape[2] >> len(channels))
        layers["linear"] = nn.Linear(channels[-1] * sides, classes)
        return nn.Sequential(layers)

    def _check(
        self, channels: list[int], shape: tuple[int, int, int], classes: int, stem: str
    ) -> None:
        if stem not in STEMS or (stem != STEMS[0] and not self.residual):
            choices = STEMS if self.residual else STEMS[:1]
            raise NetworkError(
                f"network {self.name}: stem {stem!r} is not known: choose {' or '.join(choices)}"
            )
        least = 1 if self.residual else 2 ** len(channels)
        if min(channels) < 1 or shape[0] < 1 or min(shape[1:]) < least or classes < 1:
            raise NetworkError(
                f"network {self.name}: is empty with {min(channels)} channels in its narrowest"
                f" layer, input {shape} (channel, y, x) and {classes} classes: give a larger width,"
                f" sides of at least {least} pixels, and at least 1 class"
            )

    def _residual(
        self,
        layers: OrderedDict[str, nn.Module],
        channels: list[int],
        neuron: Callable[[], nn.Module],
        *,
        shape: tuple[int, int, int],
        large: bool,
    ) -> None:
        first = channels[0]
        kernel, stride = (7, 2) if large else (3, 1)
        conv, norm = normed_convolution(shape[0], first, stride=stride, kernel=kernel)
        before, number = first, 0
        for group, (out, (_, n_blocks)) in enumerate(zip(channels, self.layers, strict=True)):
            for place in range(n_blocks):
                number += 1
                halves = place == 0 and (group > 0 or large)
                block = ResidualBlock(before, out, neuron, stride=2 if halves else 1)
                before = out
                if number == 1:
                    # The published class has its first neuron at the first block's time steps.
                    stem = OrderedDict(conv=conv, norm=norm, spike=neuron(), block=block)
                    layers["stage1"] = Stage(stem)
                else:
                    layers[f"stage{number}"] = block
        layers["pool"] = nn.AdaptiveAvgPool2d(1)

    def _plain(
        self,
        layers: OrderedDict[str, nn.Module],
        channels: list[int],
        neuron: Callable[[], nn.Module],
        *,
        shape: tuple[int, int, int],
        large: bool,
    ) -> None:
        before, number = shape[0], 0
        for out, (_, n_convolutions) in zip(channels, self.layers, strict=True):
            for _ in range(n_convolutions):
                number += 1
                conv, norm = normed_convolution(before, out)
                layers |= {f"conv{number}": conv, f"norm{number}": norm}
                layers[f"spike{number}"] = neuron()
                before = out
            layers[f"pool{number}"] = nn.AvgPool2d(2)


def _of_channels(n_channels: int) -> tuple[Any, ...]:
    """Return the means and deviations of pixels, for grey images one of each."""
    return () if n_channels == 3 else ((0.5,) * n_channels, (0.25,) * n_channels)


_IMAGE, _EVENTS = (3, 32, 32), (2, 48, 48)
_RESNET18 = ((64, 2), (128, 2), (256, 2), (512, 2))
_FACTORIES = (
    TimeSteppedFactory("resnet18-lif", _RESNET18, True, _IMAGE, 100, True, 11_220_132),
    TimeSteppedFactory(
        "resnet19-lif", ((128, 3), (256, 3), (512, 2)), True, _IMAGE, 10, True, 12_569_226
    ),
    TimeSteppedFactory(
        "resnet34-lif",
        ((64, 3), (128, 4), (256, 6), (512, 3)),
        True,
        _IMAGE,
        1000,
        True,
        21_789_992,
    ),
    TimeSteppedFactory("resnet18-dvs-lif", _RESNET18, True, _EVENTS, 10, False, 11_173_386),
    TimeSteppedFactory(
        "vgg14-lif",
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
        False,
        _IMAGE,
        100,
        True,
        14_770_212,
    ),
)

TIME_STEPPED: dict[str, TimeSteppedFactory] = {factory.name: factory for factory in _FACTORIES}
