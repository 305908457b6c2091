"""The leaky neuron with a hard reset, for networks that run in time steps and not on the chip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from sinabs.layers import SqueezeMixin, StatefulLayer
from torch.autograd.function import once_differentiable

from speckflex.errors import NetworkError
from speckflex.networks._neuron_kernels import FLOATS, has_kernel, run_on_cpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.networks._neuron_kernels import KernelPass

__all__ = ["LeakySqueeze"]


class LeakySqueeze(StatefulLayer, SqueezeMixin):
    """Leaky integrate and fire with a hard reset (MTT, Eq. 3-6): for time steps alone.

    `u = leak * v + current`, one spike where `u > threshold`, then `v = u * (1 - spike)`. The
    gradient of a spike is the triangle `max(0, h - |u - threshold|) / h^2`, and it passes through
    the reset too, as in the published code of the paper. Speck's neurons neither leak nor reset so,
    and a network with this layer is refused wherever a program for the chip would be made.

    One kernel runs all time steps, on a GPU with Triton too. Unlike sinabs' `LIF`, a neuron fires
    above its threshold and not at it, and its constants are no parameters of the network.

    Args:
        batch_size: as in sinabs, for squeezed input.
        num_timesteps: as in sinabs.
        leak: the share of a potential that the next step still has, 0 to 1.
        threshold: above 0.
        h: half the width of the triangle, above 0.

    Raises:
        NetworkError: a number is outside its range.
    """

    def __init__(
        self,
        batch_size: int | None = None,
        num_timesteps: int | None = None,
        *,
        leak: float = 0.5,
        threshold: float = 1.0,
        h: float = 1.0,
    ) -> None:
        super().__init__(state_names=["v_mem"])
        self.squeeze_init(batch_size, num_timesteps)
        self.leak, self.threshold, self.h = float(leak), float(threshold), float(h)
        problem = self.problem
        if problem:
            raise NetworkError(f"LeakySqueeze {problem}")

    @property
    def problem(self) -> str:
        """What is wrong with the layer's numbers, as the end of a sentence; "" if nothing is."""
        for name in ("leak", "threshold", "h"):
            value = vars(self).get(name)
            if type(value) is not float or not 0 <= value < float("inf"):
                return f"has {name} {value!r:.40}, which must be a number of at least 0"
        if self.leak > 1:
            return f"has leak {self.leak}, a potential would grow: give a share from 0 to 1"
        if not (self.threshold and self.h):
            return "has a threshold or a width h of 0: give numbers above 0, such as 1"
        return ""

    @property
    def spike_threshold(self) -> torch.Tensor:
        """The threshold, as sinabs' layers have it."""
        return torch.tensor(self.threshold)

    def forward(self, input_data: torch.Tensor) -> torch.Tensor:
        """Return the spikes `(batch * time, ...)` of the currents `(batch * time, ...)`."""
        return self.squeeze_forward(input_data, self._spikes)

    def _spikes(self, currents: torch.Tensor) -> torch.Tensor:
        shape = (len(currents), *currents.shape[2:])
        if self.v_mem.shape != shape:
            self.v_mem = currents.new_zeros(shape)
        numbers = (self.leak, self.threshold, 1 / self.h)
        run = _LeakyFire.apply if has_kernel(currents) else _run_loop
        spikes, self.v_mem = run(  # pyright: ignore[reportGeneralTypeIssues]
            currents, self.v_mem.to(currents.dtype), numbers
        )
        return spikes

    @property
    def _param_dict(self) -> dict[str, Any]:
        own = {"leak": self.leak, "threshold": self.threshold, "h": self.h}
        return self.squeeze_param_dict(super()._param_dict) | own


class _LeakyFire(torch.autograd.Function):
    """Currents `(batch, time, ...)` and potentials `(batch, ...)` to spikes and potentials."""

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, potential: torch.Tensor, numbers: tuple[float, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        current = current.contiguous()
        spikes = torch.empty_like(current)
        potential = potential.clone(memory_format=torch.contiguous_format)
        before = torch.empty_like(current if any(ctx.needs_input_grad) else current[:, :1])
        if current.numel():
            _passes(current)[0]([current, potential, spikes, before], numbers)
        ctx.save_for_backward(before)
        ctx.numbers = numbers
        return spikes, potential

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - torch types its wrapper so
        ctx: Any, *grad_outputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        (before,) = ctx.saved_tensors
        by_spikes, by_state = (part.contiguous() for part in grad_outputs)
        gradient = torch.empty_like(before)
        if before.numel():
            _passes(before)[1]([by_spikes, by_state, before, gradient], ctx.numbers)
        by_potential = ctx.numbers[0] * gradient[:, 0] if ctx.needs_input_grad[1] else None
        return gradient, by_potential, None


def _passes(tensor: torch.Tensor) -> tuple[KernelPass, KernelPass]:
    """Return the forward and the backward pass for tensors on a device."""
    if tensor.device.type == "cuda":
        from speckflex.kernels.leaky_triton import run_backward, run_forward

        return run_forward, run_backward
    # imported here: a network that is only looked at needs no kernel, and numba is slow to load
    from speckflex.kernels.leaky_backward import leaky_backward
    from speckflex.kernels.leaky_forward import leaky_forward

    as_float = FLOATS[tensor.dtype]

    def run(kernel: Callable[..., None], tensors: Any, numbers: Any) -> None:
        run_on_cpu(kernel, tensors, [as_float(number) for number in numbers])

    return partial(run, leaky_forward), partial(run, leaky_backward)


def _run_loop(
    currents: torch.Tensor, potential: torch.Tensor, numbers: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the same neuron step by step, on devices and dtypes without a kernel."""
    leak, threshold, sharpness = numbers
    spikes = []
    for current in currents.unbind(1):
        before = leak * potential + current
        spike = _Step.apply(before, threshold, sharpness)
        potential = before * (1 - spike)  # pyright: ignore[reportOperatorIssue]
        spikes.append(spike)
    return torch.stack(spikes, 1), potential


class _Step(torch.autograd.Function):
    """The spikes of one time step, with the triangle as gradient."""

    @staticmethod
    def forward(ctx: Any, before: torch.Tensor, threshold: float, sharpness: float) -> torch.Tensor:
        ctx.save_for_backward(before)
        ctx.numbers = threshold, sharpness
        return (before > threshold).to(before.dtype)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - torch types its wrapper so
        ctx: Any, *grad_outputs: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        (before,) = ctx.saved_tensors
        threshold, sharpness = ctx.numbers
        slope = sharpness * torch.relu(1 - sharpness * (before - threshold).abs())
        return grad_outputs[0] * slope, None, None
