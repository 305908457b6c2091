"""A network cut into stages, each of which may run at its own number of time steps (MTT, 4.3)."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from sinabs.layers import SqueezeMixin, StatefulLayer, UnflattenTime
from torch import nn

from speckflex.errors import NetworkError, TrainingError
from speckflex.networks.neurons import fused_layers
from speckflex.training.mixed.temporal import TemporalTransform, Upsampling, count_frames
from speckflex.training.mixed.timesteps import check_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MixedTimestepNetwork", "reset_states", "split_stages"]

WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


class _Layer(NamedTuple):
    name: str
    module: nn.Module


def split_stages(
    network: nn.Module, *, granularity: int = 1, names: Sequence[str] | None = None
) -> list[nn.Sequential]:
    """Return the stages of a network: its own layers, in order, shared and not copied.

    Nested `nn.Sequential` are opened; any other module with layers inside, such as a residual
    block, is kept whole and is a block of its own. A block begins at a weight layer and
    goes on to the next weight layer that follows a neuron: batch norm, neuron, pooling
    and dropout belong to the layer before them. What has no neuron of its own (an input pooling,
    a readout by potential) joins its neighbour, because time steps do nothing there.

    Args:
        network: an `nn.Sequential`, or a module with one such child.
        granularity: blocks a stage; as many as there are makes a single stage, which is NMT.
        names: begin a block at each of these layers instead, by their names in the network.

    Raises:
        NetworkError: the network is no chain of layers, has no neuron or no layer of that name.
    """
    layers = _chain(network)
    if not any(_has_neuron(layer.module) for layer in layers):
        raise NetworkError(
            f"{type(network).__name__} of {len(layers)} layers has no spiking neuron layer:"
            " put a sinabs IAFSqueeze behind each weight layer"
        )
    blocks = _blocks(layers) if names is None else _blocks_at(layers, names)
    size = check_count(granularity, "granularity")
    grouped = [chain(*blocks[first : first + size]) for first in range(0, len(blocks), size)]
    return [nn.Sequential(*(layer.module for layer in group)) for group in grouped]


def reset_states(network: nn.Module) -> None:
    """Bring every neuron to rest and forget the batch it saw.

    Unlike `sinabs.reset_states` the state loses its shape as well, so that the next input may have
    another batch size (sinabs would draw states at random from the old ones) and the
    state dict of a network is the same before and after it ran.
    """
    _rest(_layers_of(network, StatefulLayer))


class MixedTimestepNetwork(nn.Module):
    """Run a network stage by stage, each stage at its own number of time steps.

    `network` is the one and only submodule: its names, parameters and state dict stay as they were,
    and it is what gets saved. Each forward pass starts from rest, and sinabs' IAF layers run on
    the fused kernel meanwhile (`fused_neurons`), with the same results.

    Args:
        network: a chain of layers on squeezed frames, `(batch * time, channel, y, x)`.
        stages: as from `split_stages(network)`, which is the default.
        upsampling: what a longer stage gets of a shorter one, see `TemporalTransform`.

    Raises:
        NetworkError: see `split_stages`; or a neuron does not take squeezed frames.
    """

    def __init__(
        self,
        network: nn.Module,
        stages: Sequence[nn.Module] | None = None,
        *,
        upsampling: Upsampling = "copy",
    ) -> None:
        super().__init__()
        self.network = network
        _check_squeezed(network)
        # Tuples keep these out of the state dict: all layers are the network's own. They are
        # looked up once, since a pass over few frames takes hardly longer than the search.
        self.stages = tuple(split_stages(network) if stages is None else stages)
        self._neurons = tuple(_layers_of(network, StatefulLayer))
        self._squeezing = tuple(_layers_of(network, (SqueezeMixin, UnflattenTime)))
        self.upsampling: Upsampling = upsampling

    @property
    def n_stages(self) -> int:
        """G, the length of a temporal configuration."""
        return len(self.stages)

    def reset_states(self) -> None:
        """Bring every neuron to rest; `forward` does so itself."""
        _rest(self._neurons)

    def forward(self, frames: torch.Tensor, timesteps: Sequence[int] | None = None) -> torch.Tensor:
        """Return the last stage's output `(batch, t_G, classes)`.

        Args:
            frames: `(batch, time, channel, y, x)` spike counts, floats or integers.
            timesteps: `(t_1 .. t_G)`; None to run every stage at the frames' own number.

        Raises:
            TrainingError: there is not one count of at least 1 for each stage.
        """
        counts = self._counts(frames, timesteps)
        self.reset_states()
        batch = frames.shape[0]
        if not frames.is_floating_point():
            frames = count_frames(frames, counts[0], self._dtype)
        with fused_layers(self._neurons), _batch_size(self._squeezing, batch):
            for stage, n_frames in zip(self.stages, counts, strict=True):
                frames = _transform(n_frames, self.upsampling)(frames)
                frames = stage(frames.flatten(0, 1)).unflatten(0, (batch, n_frames))
        return frames

    @property
    def _dtype(self) -> torch.dtype:
        """What the network computes in."""
        floats = (p.dtype for p in self.network.parameters() if p.is_floating_point())
        return next(floats, torch.get_default_dtype())

    def _counts(self, frames: torch.Tensor, timesteps: Sequence[int] | None) -> tuple[int, ...]:
        if timesteps is None:
            return (frames.shape[1],) * self.n_stages
        counts = tuple(check_count(count, "time steps of a stage") for count in timesteps)
        if len(counts) != self.n_stages:
            raise TrainingError(
                f"temporal configuration {counts} has {len(counts)} entries, the network"
                f" {self.n_stages} stages: give one number of time steps per stage"
            )
        return counts


@lru_cache(maxsize=1024)
def _transform(n_frames: int, upsampling: Upsampling) -> TemporalTransform:
    return TemporalTransform(n_frames, upsampling=upsampling)


def _chain(network: nn.Module) -> list[_Layer]:
    """Return the layers that run one after another, with their names in the network."""
    if isinstance(network, nn.Sequential):
        return list(_open(network, ""))
    children = list(network.named_children())
    if len(children) == 1:
        (name, child) = children[0]
        return [_Layer(f"{name}.{layer.name}", layer.module) for layer in _chain(child)]
    raise NetworkError(
        f"{type(network).__name__} is no chain of layers: its forward can't be cut into stages,"
        " so make it an nn.Sequential or hand in the stages"
    )


def _open(sequential: nn.Sequential, prefix: str) -> Iterator[_Layer]:
    # `named_children` would leave out a module that is used twice.
    for name, module in zip(sequential._modules, sequential, strict=True):  # noqa: SLF001
        if type(module) is nn.Sequential:
            yield from _open(module, f"{prefix}{name}.")
        else:
            yield _Layer(f"{prefix}{name}", module)


def _blocks(layers: list[_Layer]) -> list[list[_Layer]]:
    """Group layers so that each group has its neurons and begins at a weight layer."""
    blocks: list[list[_Layer]] = [[]]
    neurons_behind = sum(_has_neuron(layer.module) for layer in layers)
    fired = False
    for layer in layers:
        if fired and neurons_behind and _has_weights(layer.module):
            blocks.append([])
            fired = False
        blocks[-1].append(layer)
        if _has_neuron(layer.module):
            fired = True
            neurons_behind -= 1
    return blocks


def _blocks_at(layers: list[_Layer], names: Sequence[str]) -> list[list[_Layer]]:
    """Begin a group at the first layer and at each layer, or container, that is named."""
    starts = {0}
    for name in names:
        inside = [
            position
            for position, layer in enumerate(layers)
            if layer.name == name or layer.name.startswith(f"{name}.")
        ]
        if not inside:
            raise NetworkError(
                f"the network has no layer {name!r} to begin a stage at: choose among"
                f" {', '.join(layer.name for layer in layers)}"
            )
        starts.add(inside[0])
    edges = [*sorted(starts), len(layers)]
    return [layers[first:last] for first, last in pairwise(edges)]


def _has_neuron(module: nn.Module) -> bool:
    return any(isinstance(part, StatefulLayer) for part in module.modules())


def _has_weights(module: nn.Module) -> bool:
    return any(isinstance(part, WEIGHT_LAYERS) for part in module.modules())


def _check_squeezed(network: nn.Module) -> None:
    for name, layer in network.named_modules():
        if isinstance(layer, StatefulLayer) and not isinstance(layer, SqueezeMixin):
            raise NetworkError(
                f"layer {name}: {type(layer).__name__} takes (batch, time, ..) and not squeezed"
                f" frames: use {type(layer).__name__}Squeeze"
            )


def _layers_of(network: nn.Module, kinds: type | tuple[type, ...]) -> Iterator[Any]:
    return (layer for layer in network.modules() if isinstance(layer, kinds))


def _rest(neurons: Iterable[nn.Module]) -> None:
    for layer in neurons:
        for name, state in layer.named_buffers(recurse=False):
            setattr(layer, name, state.new_zeros((0,)))


@contextmanager
def _batch_size(layers: Sequence[nn.Module], batch: int) -> Iterator[None]:
    """Let the squeezing layers split `batch * time` at `batch`, whatever they were built for."""
    before = [(layer.batch_size, getattr(layer, "num_timesteps", -1)) for layer in layers]
    try:
        for layer in layers:
            _set_split(layer, batch, -1)
        yield
    finally:
        for layer, (batch_size, n_steps) in zip(layers, before, strict=True):
            _set_split(layer, batch_size, n_steps)


def _set_split(layer: nn.Module, batch_size: Any, n_steps: Any) -> None:
    # Past torch's own setattr, which looks for parameters and costs as much as a small layer.
    attributes = vars(layer)
    attributes["batch_size"] = batch_size
    if "num_timesteps" in attributes:
        attributes["num_timesteps"] = n_steps
