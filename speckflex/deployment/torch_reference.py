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
from speckflex.training.mixed.stages import MixedTimestepNetwork, StageSteps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        bins: number of time steps per sample, of all layers or of each stage; states are reset
            before each sample. With stages, a layer's time step ends when the last frame ends that
            it was made of.
        step: the step of the ladder that the network stands for, "trained" or "folded".
        norms: batch norms of a network before folding, by the name of their weight layer: a
            layer that is read by its potentials is recorded behind its norm.
        frame_time: µs of a frame of the input, from time 0 on: events after the last frame are
            left out. None to divide each sample's own time.

    Attributes:
        stages: the names of the layers in each stage; empty where all have the same time steps.
        boundaries: the rules on the way into each stage, such as "copy/sum".

    Raises:
        NetworkError: the network is not the one of the program, or has no stages to cut.
        TrainingError: the time steps are not one number for each stage.
    """

    def __init__(
        self,
        network: nn.Module,
        program: Program,
        *,
        bins: int | StageSteps = 10,
        step: str = "trained",
        norms: Mapping[str, str] | None = None,
        frame_time: int | None = None,
    ) -> None:
        first = bins.timesteps[0] if isinstance(bins, StageSteps) else bins
        super().__init__(program, bins=first, step=step, frame_time=frame_time)
        self._network = copy_network(network).float().cpu().eval()
        self._states = _initial_states(self._network)
        self._with_time = takes_time_axis(self._network, program.input.shape)
        self._modules = [
            _recorded_module(self._network, core, norms or {}) for core in program.cores
        ]
        self._stages = _Stages(self._network, bins) if isinstance(bins, StageSteps) else None
        self.stages = () if self._stages is None else self._stages.names
        self.boundaries = () if self._stages is None else self._stages.boundaries

    @torch.no_grad()
    def forward(self, frames: np.ndarray) -> list[np.ndarray]:
        """Run the frames and return each layer's output, (sample, time, channel, y, x)."""
        counts = torch.from_numpy(frames).float()
        _prepare_batch(self._network, self._states, len(counts))
        with _caught_outputs(self._modules) as caught, fused_neurons(self._network):
            try:
                if self._stages is not None:
                    self._stages.run(counts)
                else:
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

    def layer_ends(self, events: np.ndarray) -> list[np.ndarray]:
        """Return when each time step of each layer ends, (time,) int64 µs, for one sample."""
        of_frames = super().layer_ends(events)
        if self._stages is None:
            return of_frames
        start = 0 if self.frame_time or not events.size else int(events["t"].min())
        return [
            self._stages.ends(module, start, ends)
            for module, ends in zip(self._modules, of_frames, strict=True)
        ]

    def settings(self) -> dict[str, str]:
        """Return what a recording's provenance says of the time steps, by name."""
        return super().settings() | ({} if self._stages is None else self._stages.settings())


class _Stages:
    """A network whose stages have time steps of their own."""

    def __init__(self, network: nn.Module, steps: StageSteps) -> None:
        self._steps = steps
        self._mixed: MixedTimestepNetwork = steps.cut(network)
        self._edges = self._mixed.edges(steps.timesteps)
        names = {module: name for name, module in network.named_modules()}
        self.names = tuple(
            tuple(names[layer] for layer in part.children()) for part in self._mixed.stages
        )
        self.boundaries = tuple(map(str, self._mixed.boundaries))

    def run(self, frames: torch.Tensor) -> None:
        self._mixed.run(frames, self._steps.timesteps)

    def ends(self, module: nn.Module, start: int, ends: np.ndarray) -> np.ndarray:
        """Return when the time steps of a layer end, from start and ends of the frames."""
        stage = next(
            index for index, part in enumerate(self._mixed.stages) if module in set(part.modules())
        )
        places = np.arange(len(ends) + 1)
        times = np.interp(self._edges[stage][1:], places, np.append(start, ends))
        return np.floor(times).astype(np.int64)

    def settings(self) -> dict[str, str]:
        return {
            "bins": str(self._steps),
            "stages": " | ".join(map(", ".join, self.names)),
            "boundaries": ", ".join(self.boundaries),
        }


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
