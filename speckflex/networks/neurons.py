"""The multi-step IF neuron with its whole time loop in one pass forward and one back."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from sinabs.activation import (
    Gaussian,
    Heaviside,
    MaxSpike,
    MembraneReset,
    MembraneSubtract,
    MultiGaussian,
    MultiSpike,
    PeriodicExponential,
    SingleExponential,
    SingleSpike,
)
from sinabs.layers import IAF, IAFSqueeze
from torch.autograd.function import once_differentiable

from speckflex.kernels.surrogates import EXPONENTIAL, GIVEN, TRIANGULAR
from speckflex.networks._neuron_kernels import FLOATS, has_kernel, run_on_cpu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

    from speckflex.networks._neuron_kernels import KernelPass

__all__ = [
    "SURROGATES",
    "FusedIAFSqueeze",
    "PrechargedIAFSqueeze",
    "Triangular",
    "fused_layers",
    "fused_neurons",
    "precharge_of",
    "precharged",
    "precharged_integers",
]


@dataclass
class Triangular:
    """Triangular surrogate gradient `max(0, h - |v - threshold|) / h^2` (MTT, 3.4).

    Its area is 1 for every h. The paper's text states no formula; this is the usual one.

    Args:
        h: half the width, above 0: a smaller one is sharper; 1 in most of the paper's
            time-stepped experiments.
    """

    h: float = 1.0

    def __call__(self, v_mem: torch.Tensor, spike_threshold: torch.Tensor) -> torch.Tensor:
        """Return ds/dv at the potentials `v_mem`, any shape."""
        return torch.relu(self.h - torch.abs(v_mem - spike_threshold)) / self.h**2


class FusedIAFSqueeze(IAFSqueeze):
    """sinabs' `IAFSqueeze`, faster: the same spikes, states and gradients from one kernel.

    Constructor, parameters, state and attributes are sinabs' own. What the kernels do not know
    (synaptic currents, recorded states, a threshold per neuron or one that learns, spike, reset
    or surrogate functions that are not sinabs' own, a GPU without Triton) runs on sinabs' loop,
    with the same results. Differences: spikes of a float64 input are float64, where sinabs makes
    them float32, and gradients can't be differentiated again. On GPUs the kernel is unverified:
    it was compiled for one and ran in Triton's interpreter, nothing more.

    sinabs' chip backend and its NIR export compare types exactly, so they do not take this class:
    prefer plain `IAFSqueeze` layers in a network, with `fused_neurons` around what must be fast.
    """

    def forward(self, input_data: torch.Tensor) -> torch.Tensor:
        """Return the spikes `(batch * time, ...)` of the currents `(batch * time, ...)`."""
        rule = _rule(self, input_data)
        n_samples = self._samples(len(input_data))
        if rule is None or n_samples is None:
            return self.squeeze_forward(input_data, partial(IAF.forward, self))
        _prepare_state(self, (n_samples, *input_data.shape[1:]))
        dtype = torch.result_type(self.v_mem, input_data)
        spikes, self.v_mem = _IntegrateAndFire.apply(  # pyright: ignore[reportGeneralTypeIssues]
            input_data.to(dtype), self.v_mem.to(dtype), rule
        )
        self.i_syn = None
        self.recordings = {}
        self.firing_rate = spikes.mean()
        return spikes

    def _samples(self, n_frames: int) -> int | None:
        """Return how many samples `n_frames` belong to; None if that is not known."""
        n_samples = self.batch_size if self.batch_size > 0 else n_frames // self.num_timesteps
        n_steps = self.num_timesteps if self.num_timesteps > 0 else n_frames // n_samples
        return n_samples if n_samples * n_steps == n_frames else None


class PrechargedIAFSqueeze(FusedIAFSqueeze):
    """An `IAFSqueeze` whose potentials do not start at 0.

    The start is a property of the layer, not a state that a run left in it: it is in the state
    dict, stays when the states are reset, and goes with the network to the chip, where a core has
    an initial value for each neuron. A layer that starts at half its threshold rounds where one
    that starts at 0 truncates.

    Args:
        batch_size: as in sinabs, for squeezed input.
        num_timesteps: as in sinabs.
        precharge: the start in thresholds, at least the lower bound and below 1; a number for all
            neurons, or a tensor (channel, y, x).
        levels: the count that stands for full scale, where the layer was made for one.
        **settings: of sinabs' `IAF`.
    """

    def __init__(
        self,
        batch_size: int | None = None,
        num_timesteps: int | None = None,
        *,
        precharge: float | torch.Tensor = 0.0,
        levels: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, num_timesteps=num_timesteps, **settings)
        start = torch.as_tensor(precharge, dtype=torch.get_default_dtype()).detach().clone()
        self.precharge = torch.nn.Parameter(start, requires_grad=False)
        self.levels = levels

    def forward(self, input_data: torch.Tensor) -> torch.Tensor:
        """Return the spikes `(batch * time, ...)` of the currents `(batch * time, ...)`."""
        if self.v_mem.shape == (0,):
            n_samples = self._samples(len(input_data))
            if n_samples is not None:
                rest = input_data.new_zeros((n_samples, *input_data.shape[1:]))
                self.v_mem = rest + precharge_of(self)
        return super().forward(input_data)

    def reset_states(self, *arguments: Any, **settings: Any) -> None:
        """Bring the potentials back to their start, at the next input."""
        super().reset_states(*arguments, **settings)
        for name, state in list(self.named_buffers(recurse=False)):
            self.register_buffer(name, state.new_zeros((0,)))

    @property
    def _param_dict(self) -> dict[str, Any]:
        return {**super()._param_dict, "precharge": self.precharge, "levels": self.levels}


def precharge_of(layer: nn.Module) -> torch.Tensor | float:
    """Return the potential that a layer's neurons start at, in the network's units; else 0."""
    if not isinstance(layer, PrechargedIAFSqueeze):
        return 0.0
    return layer.precharge * torch.as_tensor(layer.spike_threshold).detach()


def precharged(layer: nn.Module, currents: torch.Tensor) -> torch.Tensor:
    """Return currents `(batch, time, ...)` whose first frame also brings the layer's start.

    For neurons that know no state: the running sum then is what a charged neuron has.
    """
    start = precharge_of(layer)
    if isinstance(start, float):
        return currents
    return torch.cat([currents[:, :1] + start, currents[:, 1:]], dim=1)


def precharged_integers(
    precharge: torch.Tensor, threshold_high: int, shape: tuple[int, int, int]
) -> np.ndarray | None:
    """Return the initial states of a core, `(channel, y, x) int16`; None where all are 0.

    A start is the same share of the integer threshold as of the network's, rounded down: with
    half a threshold, a neuron then fires `floor((P + theta / 2) / theta)` times for an integer P,
    also where theta is odd.

    Args:
        precharge: in thresholds, one number or one for each neuron.
        threshold_high: of the core.
        shape: (channel, y, x) of its neurons.
    """
    share = np.broadcast_to(precharge.detach().cpu().double().numpy(), shape)
    # a share such as 30 / 100 must not come out one too low
    states = np.floor(share * threshold_high + 1e-6).astype(np.int16)
    return states if states.any() else None


@contextmanager
def fused_neurons(network: nn.Module) -> Iterator[None]:
    """Run the network's `IAFSqueeze` layers on the fused kernel while the context lasts.

    The layers are the same objects before, within and after it, with the same parameters and
    states; backward passes may come later. Subclasses of `IAFSqueeze` are left alone.
    """
    with fused_layers(network.modules()):
        yield


@contextmanager
def fused_layers(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Do what `fused_neurons` does for the `IAFSqueeze` among these layers."""
    plain = [layer for layer in layers if type(layer) is IAFSqueeze]
    try:
        for layer in plain:
            object.__setattr__(layer, "__class__", FusedIAFSqueeze)
        yield
    finally:
        for layer in plain:
            object.__setattr__(layer, "__class__", IAFSqueeze)


class _Rule(NamedTuple):
    """The numbers of a neuron, as the kernels of `speckflex.kernels.if_forward` take them."""

    threshold: float
    most_spikes: float
    to_value: bool
    step: float
    bounded: bool
    low: float
    surrogate: Callable[[torch.Tensor, float], torch.Tensor]


class _IntegrateAndFire(torch.autograd.Function):
    """Currents `(batch * time, ...)` and potentials `(batch, ...)` to spikes and potentials.

    Both shapes are taken apart in here: views outside would each be a node of the graph, which
    costs small layers as much as their arithmetic.
    """

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, potential: torch.Tensor, rule: _Rule
    ) -> tuple[torch.Tensor, torch.Tensor]:
        current = current.contiguous()
        spikes = torch.empty_like(current)
        potential = potential.clone(memory_format=torch.contiguous_format)
        by_sample = (len(potential), -1, *current.shape[1:])
        currents = current.view(by_sample)
        before = torch.empty_like(currents if any(ctx.needs_input_grad) else currents[:, :1])
        tensors = [currents, potential, spikes.view(by_sample), before]
        _passes(current.device)[0](tensors, _numbers(rule, current.dtype))
        ctx.save_for_backward(before)
        ctx.rule = rule
        return spikes, potential

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - torch types its wrapper so
        ctx: Any, *grad_outputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        (before,) = ctx.saved_tensors
        kind, height, sharpness = _native_surrogate(ctx.rule, before.dtype)
        if kind == GIVEN:
            slopes = ctx.rule.surrogate(before, ctx.rule.threshold)
            gradient = slopes.to(before.dtype).contiguous()
        else:
            gradient = torch.empty_like(before)
        as_float = FLOATS[before.dtype]
        numbers = [*_numbers(ctx.rule, before.dtype), kind, as_float(height), as_float(sharpness)]
        by_spikes, by_state = (part.contiguous() for part in grad_outputs)
        tensors = [by_spikes.view(before.shape), by_state, before, gradient]
        _passes(before.device)[1](tensors, numbers)
        by_potential = gradient[:, 0].clone() if ctx.needs_input_grad[1] else None
        return gradient.view(by_spikes.shape), by_potential, None


def _prepare_state(layer: IAF, shape: tuple[int, ...]) -> None:
    """Give the layer a state of shape `(batch, ...)`, as `sinabs.layers.LIF.forward` does."""
    if layer.v_mem.shape == shape:
        return
    if layer.v_mem.shape == (0,):
        layer.v_mem = layer.v_mem.new_zeros(shape)
    elif not layer.has_trailing_dimension(shape[1:]):  # pyright: ignore[reportArgumentType]
        layer.init_state_with_shape(shape)
    else:
        layer.handle_state_batch_size_mismatch(shape[0])


def _rule(layer: IAF, current: torch.Tensor) -> _Rule | None:
    """Return the layer's numbers, or None if the kernels do not know its kind."""
    threshold, low = _number(layer.spike_threshold), _number(layer.min_v_mem, absent=-np.inf)
    most_spikes, step = _most_spikes(layer.spike_fn), _reset_step(layer.reset_fn, threshold)
    known = (
        has_kernel(current)
        and current.numel() > 0
        and layer.tau_syn is None
        and not layer.record_states
        and type(layer.surrogate_grad_fn) in SURROGATES
    )
    if not known or threshold is None or low is None or most_spikes is None or step is None:
        return None
    if threshold <= 0:
        return None
    return _Rule(
        threshold=threshold,
        most_spikes=most_spikes,
        to_value=isinstance(layer.reset_fn, MembraneReset),
        step=step,
        bounded=layer.min_v_mem is not None,
        low=low,
        surrogate=layer.surrogate_grad_fn,
    )


def _number(value: torch.Tensor | None, *, absent: float | None = None) -> float | None:
    """Return a parameter that is one fixed number, else None."""
    if value is None:
        return absent
    widens = value.ndim > 0 and value.dtype == torch.float64
    if value.numel() != 1 or value.requires_grad or widens:
        return None
    return float(value)


def _most_spikes(spike_fn: Any) -> float | None:
    """Return how often a neuron may fire in a step; None for a function that is not sinabs'."""
    if spike_fn is MultiSpike:
        return float("inf")
    if spike_fn is SingleSpike:
        return 1.0
    if type(spike_fn) is MaxSpike:
        limit = spike_fn.max_num_spikes_per_bin
        return float("inf") if limit is None else float(limit)
    return None


def _reset_step(reset_fn: Any, threshold: float | None) -> float | None:
    """Return what a spike subtracts, or the value to reset to; None if it is not sinabs'."""
    if type(reset_fn) is MembraneSubtract:
        return threshold if reset_fn.subtract_value is None else float(reset_fn.subtract_value)
    return float(reset_fn.reset_value) if type(reset_fn) is MembraneReset else None


def _exponential(surrogate: SingleExponential, threshold: float) -> tuple[int, float, float]:
    width = threshold * surrogate.grad_width
    if width <= 0:
        return _given(surrogate, threshold)
    return EXPONENTIAL, surrogate.grad_scale / width, 1 / width


def _triangular(surrogate: Triangular, threshold: float) -> tuple[int, float, float]:
    return TRIANGULAR, 1 / surrogate.h, 1 / surrogate.h


def _given(surrogate: Any, threshold: float) -> tuple[int, float, float]:
    return GIVEN, 0.0, 0.0


# Kind, height and sharpness for the kernel; what is GIVEN is computed by the function itself.
SURROGATES: dict[type, Callable[[Any, float], tuple[int, float, float]]] = {
    SingleExponential: _exponential,
    Triangular: _triangular,
    Heaviside: _given,
    Gaussian: _given,
    MultiGaussian: _given,
    PeriodicExponential: _given,
}


def _native_surrogate(rule: _Rule, dtype: torch.dtype) -> tuple[int, float, float]:
    # The kernel's exponential is good to single precision.
    if dtype == torch.float64:
        return GIVEN, 0.0, 0.0
    return SURROGATES[type(rule.surrogate)](rule.surrogate, rule.threshold)


def _numbers(rule: _Rule, dtype: torch.dtype) -> list[Any]:
    """Return what both kernels take after their arrays, floats in the arrays' own dtype."""
    as_float = FLOATS[dtype]
    return [
        as_float(rule.threshold),
        as_float(rule.most_spikes),
        rule.to_value,
        as_float(rule.step),
        rule.bounded,
        as_float(rule.low),
    ]


def _passes(device: torch.device) -> tuple[KernelPass, KernelPass]:
    """Return the forward and the backward pass for tensors on `device`."""
    if device.type == "cuda":
        from speckflex.kernels.if_triton import run_backward, run_forward

        return run_forward, run_backward
    # imported here: a network that is only looked at needs no kernel, and numba is slow to load
    from speckflex.kernels.if_backward import if_backward
    from speckflex.kernels.if_forward import if_forward

    return partial(run_on_cpu, if_forward), partial(run_on_cpu, if_backward)
