"""ReLUs in whole steps, which become neurons: a network that trains without neurons (MT-SNN)."""

from __future__ import annotations

import math
from typing import Any

import torch
from sinabs.activation import MembraneSubtract, MultiSpike
from torch import nn
from torch.nn import functional

from speckflex.chips.formats import NEURON_MAX, WEIGHT_MAX, WEIGHT_MIN
from speckflex.errors import NetworkError
from speckflex.networks.copying import copy_network
from speckflex.networks.neurons import PrechargedIAFSqueeze
from speckflex.networks.running_maximum import law_spikes

__all__ = [
    "HALF",
    "MOST_BITS",
    "QuantisedReLU",
    "check_whole_chain",
    "quantised_layers",
    "quantised_to_spiking",
]

MOST_BITS = 8
# Potentials of the networks that were measured seldom reach a bound so deep.
SHALLOWEST, USUAL_DEPTH = 8, 32  # thresholds
HALF = 0.5  # of a step or a threshold, where a neuron starts that rounds


class QuantisedReLU(nn.Module):
    """A ReLU whose values are whole numbers of a step that is learned.

    `N = clip(floor(z / s + 1/2), 0, L)`, `a = s N` with `L = 2^n - 1` levels beside 0, for a step s
    and a bit width n that both learn (QCFS, ICLR 2022, with the learned step of LSQ, Esser et
    al. 2020; n as in Fast-SNN). A neuron with threshold `s L` that gets z in each of L steps, and
    starts at half its threshold, fires N times. For an n between two whole numbers, a is the mean
    of both, by their distance.

    With several frames in a recording N is that of the highest sum so far, and a frame sends what
    it adds: what a neuron does that never falls back. Such a neuron has no highest count.

    Args:
        step: s, above 0.
        bits: n, 1 to 8.
        ceiling: whether counts end at L. No core of the chip has such an end.
        soft: whether a drive below 0 has the gradient `exp(z / s)`, instead of none.

    Attributes:
        batch_size: number of recordings in the input `(batch * time, ...)`; below 1 if each row
            is a recording.
    """

    __constants__ = ("ceiling", "soft", "batch_size")

    def __init__(
        self, *, step: float = 1.0, bits: float = 4.0, ceiling: bool = True, soft: bool = False
    ) -> None:
        super().__init__()
        if not 0 < step < math.inf:
            raise NetworkError(f"a quantised ReLU has step {step}: give a number above 0")
        if not 1 <= bits <= MOST_BITS:
            raise NetworkError(
                f"a quantised ReLU has {bits} bits: give a number from 1 to {MOST_BITS}"
            )
        self.step = nn.Parameter(torch.tensor(float(step)))
        self.bits = nn.Parameter(torch.tensor(float(bits)))
        self.ceiling, self.soft, self.batch_size = ceiling, soft, -1

    @property
    def step_size(self) -> float:
        """The step s, as a number without a gradient."""
        return float(self.step.detach())

    @property
    def bit_width(self) -> float:
        """The bit width n, as a number without a gradient."""
        return float(self.bits.detach())

    @property
    def levels(self) -> int:
        """L, the counts above 0, of the bit width rounded up."""
        return 2 ** math.ceil(self.bit_width) - 1

    def forward(self, drive: torch.Tensor) -> torch.Tensor:
        """Return the values of drives, both `(batch * time, ...)`."""
        n_samples = self.batch_size if self.batch_size > 0 else len(drive)
        by_sample = drive.unflatten(0, (n_samples, -1))
        # the gradient of a step that all values share would be far above that of a weight (LSQ)
        share = 1 / math.sqrt(max(by_sample[0, 0].numel(), 1) * self.levels)
        value = self.step.detach()
        step = value + (self.step - value) * share
        in_steps = by_sample / step
        if by_sample.shape[1] == 1 and self.ceiling:
            counts = self._counts(in_steps)
        else:
            first = in_steps[:, :1] + HALF
            counts = law_spikes(torch.cat([first, in_steps[:, 1:]], dim=1), 1.0)
        return (counts * step).flatten(0, 1)

    def extra_repr(self) -> str:
        """Return the text between the brackets of the module's repr."""
        return f"step={self.step_size:.4g}, bits={self.bit_width:.4g}, ceiling={self.ceiling}"

    def _counts(self, in_steps: torch.Tensor) -> torch.Tensor:
        """Return N of drives in steps, between those of the two nearest bit widths."""
        low = float(math.floor(self.bit_width))
        fraction = self.bits - low
        counts = self._counts_up_to(2**low - 1, in_steps)
        if not float(fraction.detach()):
            return counts
        return (1 - fraction) * counts + fraction * self._counts_up_to(2 ** (low + 1) - 1, in_steps)

    def _counts_up_to(self, levels: float, in_steps: torch.Tensor) -> torch.Tensor:
        smooth = (functional.elu if self.soft else torch.relu)(in_steps).clamp(max=levels)
        counts = (in_steps.detach() + HALF).floor().clamp(0, levels)
        return counts + (smooth - smooth.detach())


def quantised_layers(network: nn.Module) -> list[QuantisedReLU]:
    """Return the quantised ReLUs of a network, in order."""
    return [module for module in network.modules() if isinstance(module, QuantisedReLU)]


@torch.no_grad()
def quantised_to_spiking(network: nn.Module) -> nn.Module:
    """Return the spiking network that a network of quantised ReLUs stands for.

    A spike of a layer is worth its step. So the weights stay as they are, and the next threshold
    is the ratio of its own step and of the step before it: on the chip the ratio is in the 16 bits
    of the threshold, and nothing is aligned in time. Each neuron starts at half its threshold, so
    that it rounds, and has a lower bound as deep as 16 bits hold it. A constant that is added in
    front of a threshold is divided by the same step.

    Args:
        network: a chain of layers; stays as it is.

    Raises:
        NetworkError: it is no chain, or a step is not above 0.
    """
    copied = copy_network(network)
    unit, weights, pooled = 1.0, None, 1
    for parent, name, layer in check_whole_chain(copied):
        if isinstance(layer, nn.AvgPool2d):
            size: Any = layer.kernel_size
            pooled *= size**2 if isinstance(size, int) else math.prod(size)
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            _divide(layer, ("bias",), unit)
            weights, pooled = layer.weight / pooled, 1
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            _divide(layer, ("bias", "running_mean"), unit)
            weights = None  # its gain decides how large they become
        elif isinstance(layer, QuantisedReLU):
            step = layer.step_size
            if not 0 < step < math.inf:
                raise NetworkError(
                    f"layer {name}: its step became {step:g}: train with a smaller learning rate"
                )
            setattr(parent, name, _neuron(layer, step / unit, weights))
            unit = step
    return copied


def check_whole_chain(network: nn.Module) -> list[tuple[Any, str, nn.Module]]:
    """Return the layers of nested `nn.Sequential` in order, each with its parent and name.

    Raises:
        NetworkError: another module has layers inside, so that values may meet whose spikes are
            worth different steps.
    """
    found: list[tuple[Any, str, nn.Module]] = []
    for name, child in network.named_children():
        if type(child) is nn.Sequential:
            found += check_whole_chain(child)
        elif any(isinstance(part, QuantisedReLU) for part in child.modules()) and not isinstance(
            child, QuantisedReLU
        ):
            raise NetworkError(
                f"module {name} ({type(child).__name__}) has quantised ReLUs inside: a sum of"
                " layers with different steps has no neuron: use an nn.Sequential of layers"
            )
        else:
            found.append((network, name, child))
    return found


def _divide(layer: nn.Module, names: tuple[str, ...], unit: float) -> None:
    for name in names:
        values: Any = getattr(layer, name, None)
        if values is not None:
            values.div_(unit)


def _neuron(
    layer: QuantisedReLU, threshold: float, weights: torch.Tensor | None
) -> PrechargedIAFSqueeze:
    neuron = PrechargedIAFSqueeze(
        batch_size=1,
        spike_threshold=torch.tensor(threshold),
        min_v_mem=torch.tensor(-threshold * _depth(threshold, weights)),
        spike_fn=MultiSpike,
        reset_fn=MembraneSubtract(),
        precharge=HALF,
        levels=layer.levels,
    )
    return neuron.train(layer.training)


def _depth(threshold: float, weights: torch.Tensor | None) -> int:
    """Return the lower bound in thresholds that 16 bits hold at the scale of 8-bit weights."""
    scales = _weight_scales(weights)
    if not scales:
        return USUAL_DEPTH
    integer = max(round(min(scales) * threshold), 1)
    return max(NEURON_MAX // integer, SHALLOWEST)


def _weight_scales(weights: torch.Tensor | None) -> list[float]:
    if weights is None:
        return []
    low, high = float(weights.min()), float(weights.max())
    return [
        limit / end for limit, end in ((WEIGHT_MIN, low), (WEIGHT_MAX, high)) if limit * end > 0
    ]
