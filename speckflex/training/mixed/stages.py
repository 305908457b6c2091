"""A network cut into stages, each of which can run at its own number of time steps (MTT, 4.3)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sinabs.layers import SqueezeMixin, StatefulLayer, UnflattenTime
from torch import nn

from speckflex.errors import NetworkError, TrainingError
from speckflex.networks.neurons import fused_layers
from speckflex.networks.paper import own_granularity
from speckflex.networks.quantised import QuantisedReLU
from speckflex.training.mixed.boundaries import Boundary, default_boundaries
from speckflex.training.mixed.temporal import TemporalTransform, count_frames
from speckflex.training.mixed.timesteps import check_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from speckflex.training.rules import Downsampling, Upsampling

__all__ = ["MixedTimestepNetwork", "StageSteps", "cut_network", "reset_states", "split_stages"]

NEURON_LAYERS = (StatefulLayer, QuantisedReLU)
WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


def split_stages(network: nn.Module, *, granularity: int = 1) -> list[nn.Sequential]:
    """Return the stages of a network: its own layers, in order, shared and not copied.

    Nested `nn.Sequential` are opened; any other module with layers inside, such as a residual
    block, is a block of its own. A block begins at a weight layer and ends before the next weight
    layer that follows a neuron: batch norm, neuron, pooling and dropout belong to the layer before
    them. Layers without a neuron (an input pooling, a readout by potential) join their neighbour,
    because the number of time steps makes no difference there.

    Args:
        network: an `nn.Sequential`, or a module with one such child.
        granularity: number of blocks in a stage; with all blocks in one stage, MTT is NMT.

    Raises:
        NetworkError: the network is no chain of layers, or has no neuron.
    """
    layers = _chain(network)
    if not any(_contains(layer, NEURON_LAYERS) for layer in layers):
        raise NetworkError(
            f"{type(network).__name__} of {len(layers)} layers has no spiking neuron layer:"
            " put a sinabs IAFSqueeze after each weight layer"
        )
    blocks = _blocks(layers)
    size = check_count(granularity, "granularity")
    grouped = [chain(*blocks[first : first + size]) for first in range(0, len(blocks), size)]
    return [nn.Sequential(*group) for group in grouped]


def reset_states(network: nn.Module) -> None:
    """Bring every neuron to rest and forget the shape of its last batch.

    Unlike with `sinabs.reset_states`, the states lose their shape too. So the next input may have
    another batch size (sinabs would draw states at random from the old ones), and the state dict
    of a network has the same shapes before and after it ran.
    """
    _rest(_layers_of(network, StatefulLayer))


class MixedTimestepNetwork(nn.Module):
    """Run a network stage by stage, each stage at its own number of time steps.

    `network` is the only submodule and the one that is saved: its names, parameters and state dict
    stay as they were. Each forward pass starts from rest. During the pass, sinabs' IAF layers run
    on the fused kernel (`fused_neurons`), with the same results.

    Args:
        network: a chain of layers on squeezed frames, `(batch * time, channel, y, x)`.
        stages: by default `split_stages(network)`.
        upsampling: the frames that a longer stage gets from a shorter one, see
            `TemporalTransform`; with "rate" a shorter stage gets means too.
        input_frames: the frames that the first stage gets when it is shorter than the recording:
            "sum", "trim" or "rate", see `TemporalTransform`.
        boundaries: the rules of each boundary, that of the input first, one for each stage; None
            for those of `upsampling` and `input_frames`.

    Raises:
        NetworkError: see `split_stages`; or a neuron does not take squeezed frames.
        TrainingError: there are not as many boundaries as stages.
    """

    def __init__(
        self,
        network: nn.Module,
        stages: Sequence[nn.Module] | None = None,
        *,
        upsampling: Upsampling = "copy",
        input_frames: Downsampling = "sum",
        boundaries: Sequence[Boundary] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        for name, layer in network.named_modules():
            if isinstance(layer, StatefulLayer) and not isinstance(layer, SqueezeMixin):
                kind = type(layer).__name__
                raise NetworkError(
                    f"layer {name}: {kind} takes frames (batch, time, ..), not squeezed ones:"
                    f" use {kind}Squeeze"
                )
        # Tuples keep these out of the state dict: all layers are the network's own. They are
        # looked up once, because the search takes almost as long as a pass over few frames.
        self.stages = tuple(split_stages(network) if stages is None else stages)
        self._neurons = tuple(_layers_of(network, StatefulLayer))
        self._squeezing = tuple(_layers_of(network, (SqueezeMixin, UnflattenTime, QuantisedReLU)))
        count = len(self.stages)
        given = boundaries or default_boundaries(count, upsampling, input_frames)
        if len(given) != count:
            rules = ",".join(map(str, given))
            raise TrainingError(
                f"boundaries {rules} are {len(given)}, the network has {count} stages: give one for"
                " each stage, that of the input first"
            )
        self.boundaries = tuple(given)

    @property
    def n_stages(self) -> int:
        """G, the length of a temporal configuration."""
        return len(self.stages)

    def reset_states(self) -> None:
        """Bring every neuron to rest; `forward` does this too."""
        _rest(self._neurons)

    def forward(self, frames: torch.Tensor, timesteps: Sequence[int] | None = None) -> torch.Tensor:
        """Return the last stage's output `(batch, t_G, classes)`.

        Args:
            frames: `(batch, time, channel, y, x)` spike counts, floats or integers.
            timesteps: `(t_1 .. t_G)`; None to run every stage at the number of frames.

        Raises:
            TrainingError: see `check`.
        """
        self.reset_states()
        return self.run(frames, timesteps)

    def run(self, frames: torch.Tensor, timesteps: Sequence[int] | None = None) -> torch.Tensor:
        """Return what `forward` does, with every neuron at the state that it has."""
        counts = self.check((frames.shape[1],) * self.n_stages if timesteps is None else timesteps)
        batch = frames.shape[0]
        frames = self._as_floats(frames, counts[0])
        with fused_layers(self._neurons), _batch_size(self._squeezing, batch):
            for stage, n_frames, rules in zip(self.stages, counts, self.boundaries, strict=True):
                frames = _transform(n_frames, *rules)(frames)
                frames = stage(frames.flatten(0, 1)).unflatten(0, (batch, n_frames))
        return frames

    def edges(self, timesteps: Sequence[int]) -> list[np.ndarray]:
        """Return where the frames of each stage begin and end, `(t_g + 1,) float64` each.

        The unit is a frame of the recording, which is cut into as many as the first stage has.
        """
        edges, found = np.arange(timesteps[0] + 1, dtype=np.float64), []
        for n_frames, rules in zip(timesteps, self.boundaries, strict=True):
            edges = _transform(n_frames, *rules).edges(edges)
            found.append(edges)
        return found

    def _as_floats(self, frames: torch.Tensor, n_frames: int) -> torch.Tensor:
        """Return the frames of a recording in the network's dtype, only those that are needed."""
        rule = self.boundaries[0].downsampling
        if rule == "trim":
            frames = frames[:, :n_frames]
        if frames.is_floating_point():
            return frames
        floats = (p.dtype for p in self.network.parameters() if p.is_floating_point())
        dtype = next(floats, torch.get_default_dtype())
        return frames.to(dtype) if rule == "rate" else count_frames(frames, n_frames, dtype)

    def check(self, timesteps: Sequence[int]) -> tuple[int, ...]:
        """Return the numbers of time steps of the stages.

        Raises:
            TrainingError: they are not one for each stage, each at least 1.
        """
        counts = tuple(check_count(count, "time steps of a stage") for count in timesteps)
        if len(counts) != self.n_stages:
            raise TrainingError(
                f"temporal configuration {'/'.join(map(str, counts))} has {len(counts)} numbers,"
                f" the network has {self.n_stages} stages: give one for each stage"
            )
        return counts


@dataclass(frozen=True)
class StageSteps:
    """A number of time steps for each stage of a network, and how it is cut into stages.

    Args:
        timesteps: `(t_1 .. t_G)`, each at least 1.
        granularity: number of blocks in a stage; None for the network's own.
        boundaries: the rules on the way into each stage, that of the input first; by default
            copies and sums, the paper's.
    """

    timesteps: tuple[int, ...]
    granularity: int | None = None
    boundaries: tuple[Boundary, ...] = ()

    def __str__(self) -> str:
        return "/".join(map(str, self.timesteps))

    def cut(self, network: nn.Module) -> MixedTimestepNetwork:
        """Return the network as stages that can run at these numbers of time steps.

        Raises:
            TrainingError: there are not as many numbers, or boundaries, as stages.
            NetworkError: see `split_stages`.
        """
        mixed = cut_network(network, granularity=self.granularity, boundaries=self.boundaries)
        mixed.check(self.timesteps)
        return mixed


def cut_network(
    network: nn.Module, *, granularity: int | None = None, boundaries: Sequence[Boundary] = ()
) -> MixedTimestepNetwork:
    """Return a network as stages; granularity and boundaries are those of `StageSteps`.

    Raises:
        TrainingError: there are not as many boundaries as stages.
        NetworkError: see `split_stages`.
    """
    stages = split_stages(network, granularity=granularity or own_granularity(network))
    return MixedTimestepNetwork(network, stages, boundaries=boundaries)


@lru_cache(maxsize=1024)
def _transform(
    n_frames: int, upsampling: Upsampling, downsampling: Downsampling
) -> TemporalTransform:
    return TemporalTransform(n_frames, upsampling=upsampling, downsampling=downsampling)


def _chain(network: nn.Module) -> list[nn.Module]:
    """Return the layers that run one after another."""
    if isinstance(network, nn.Sequential):
        # Iteration, unlike `children`, gives a module twice that is used twice.
        parts = (_chain(part) if type(part) is nn.Sequential else [part] for part in network)
        return list(chain.from_iterable(parts))
    children = list(network.children())
    if len(children) == 1:
        return _chain(children[0])
    raise NetworkError(
        f"{type(network).__name__} is no chain of layers: its forward can't be cut into stages:"
        " make it an nn.Sequential, or give the stages"
    )


def _blocks(layers: list[nn.Module]) -> list[list[nn.Module]]:
    """Group layers so that each group has its neurons and begins at a weight layer."""
    blocks: list[list[nn.Module]] = [[]]
    n_left = sum(_contains(layer, NEURON_LAYERS) for layer in layers)
    fired = False
    for layer in layers:
        if fired and n_left and _contains(layer, WEIGHT_LAYERS):
            blocks.append([])
            fired = False
        blocks[-1].append(layer)
        if _contains(layer, NEURON_LAYERS):
            fired = True
            n_left -= 1
    return blocks


def _contains(module: nn.Module, kinds: type | tuple[type, ...]) -> bool:
    return any(isinstance(part, kinds) for part in module.modules())


def _layers_of(network: nn.Module, kinds: type | tuple[type, ...]) -> Iterator[Any]:
    return (layer for layer in network.modules() if isinstance(layer, kinds))


def _rest(neurons: Iterable[nn.Module]) -> None:
    for layer in neurons:
        for name, state in layer.named_buffers(recurse=False):
            setattr(layer, name, state.new_zeros((0,)))


@contextmanager
def _batch_size(layers: Sequence[nn.Module], batch: int) -> Iterator[None]:
    """Let the squeezing layers split `batch * time` at `batch` meanwhile."""
    before = [(layer.batch_size, getattr(layer, "num_timesteps", -1)) for layer in layers]
    try:
        for layer in layers:
            _set_split(layer, batch, -1)
        yield
    finally:
        for layer, (batch_size, n_steps) in zip(layers, before, strict=True):
            _set_split(layer, batch_size, n_steps)


def _set_split(layer: nn.Module, batch_size: Any, n_steps: Any) -> None:
    # Not by setattr, which looks for parameters in torch and takes as long as a small layer.
    attributes = vars(layer)
    attributes["batch_size"] = batch_size
    if "num_timesteps" in attributes:
        attributes["num_timesteps"] = n_steps
