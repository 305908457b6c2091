"""The torch network, run in time steps, as the reference of a comparison."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from sinabs.layers import StatefulLayer, UnflattenTime
from sinabs.layers.reshape import SqueezeMixin

from speckflex.deployment._steps import StepPlayer
from speckflex.errors import NetworkError
from speckflex.networks.copying import copy_network
from speckflex.networks.layer_kinds import module_called
from speckflex.networks.neurons import fused_neurons
from speckflex.networks.trace import takes_time_axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from torch import nn

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["TorchReference"]


class TorchReference(StepPlayer):
    """A float network in evaluation mode, recorded layer by layer like a board.

    The time of each recorded event is the end of its time bin. Several spikes in one bin are
    several events. Potentials of a readout layer are in the program's integers (times
    `Core.scale`).

    Args:
        network: the network that was converted, or the one that it was folded from; it is
            copied.
        program: the program that was made from it; it names the layers to record.
        bins: number of time steps per sample; states are reset before each sample.
        step: the step of the ladder that the network stands for, "trained" or "folded".
        norms: batch norms of a network before folding, by the name of their weight layer: a
            layer that is read by its potentials is recorded behind its norm.
    """

    def __init__(
        self,
        network: nn.Module,
        program: Program,
        *,
        bins: int = 10,
        step: str = "trained",
        norms: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(program, bins=bins, step=step)
        self._network = copy_network(network).float().cpu().eval()
        self._states = _initial_states(self._network)
        self._with_time = takes_time_axis(self._network, program.input.shape)
        self._modules = [
            _recorded_module(self._network, core, norms or {}) for core in program.cores
        ]

    @torch.no_grad()
    def forward(self, frames: np.ndarray) -> list[np.ndarray]:
        """Run the frames and return each layer's output, (sample, time, channel, y, x)."""
        counts = torch.from_numpy(frames).float()
        _prepare_batch(self._network, self._states, len(counts))
        with _caught_outputs(self._modules) as caught, fused_neurons(self._network):
            try:
                self._network(counts if self._with_time else counts.flatten(0, 1))
            except (RuntimeError, ValueError) as error:
                raise NetworkError(
                    f"the network does not run on frames of shape {tuple(frames.shape[2:])}"
                    f" (channel, y, x): {str(error).splitlines()[0]}: check its input shape"
                ) from error
        return [
            caught[index].reshape(len(frames), -1, *core.output_shape).numpy()
            for index, core in enumerate(self.program.cores)
        ]


@contextmanager
def _caught_outputs(modules: list[nn.Module]) -> Iterator[dict[int, torch.Tensor]]:
    """Yield a dict that a forward pass fills with the output of each module, by its position."""
    caught: dict[int, torch.Tensor] = {}

    def catch(index: int, module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        caught[index] = output

    hooks = [
        module.register_forward_hook(partial(catch, index)) for index, module in enumerate(modules)
    ]
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()


def _recorded_module(network: nn.Module, core: Core, norms: Mapping[str, str]) -> nn.Module:
    read = norms.get(core.name, core.name)
    name = read if core.readout == "potential" else core.neuron_name
    module = module_called(network, name)
    if module is None:
        raise NetworkError(
            f"layer {core.name}: the network has no module {name!r} to record:"
            " give the network that the program was converted from"
        )
    return module


def _initial_states(network: nn.Module) -> list[tuple[StatefulLayer, torch.Tensor]]:
    """Return each neuron layer with its initial state for one sample."""
    return [
        (module, module.get_buffer("v_mem")[:1].detach().clone())
        for module in network.modules()
        if isinstance(module, StatefulLayer)
    ]


def _prepare_batch(
    network: nn.Module, states: list[tuple[StatefulLayer, torch.Tensor]], n_samples: int
) -> None:
    """Set every neuron to its initial state and every squeezing layer to the number of samples."""
    for module in network.modules():
        if isinstance(module, SqueezeMixin):
            module.batch_size, module.num_timesteps = n_samples, -1
        elif isinstance(module, UnflattenTime):
            module.batch_size = n_samples
    for module, state in states:
        # In sinabs an empty state takes its shape from the next input.
        module.v_mem = state.repeat_interleave(n_samples, dim=0) if len(state) else state.clone()
