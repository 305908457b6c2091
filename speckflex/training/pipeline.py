"""The steps to a network for the chip, each a function: new network, train, fine-tune, merge."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from sinabs.activation import Heaviside
from torch import nn

from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.fold import fold_batchnorm
from speckflex.networks.fold_proof import check_no_bias
from speckflex.networks.paper import NEURONS, build_network
from speckflex.training._calibration import batch_norms
from speckflex.training._loop import TrainingResult, fit
from speckflex.training._weight_layers import weight_layers
from speckflex.training.mtsnn.levels import freeze_bits
from speckflex.training.mtsnn.quantise import quantised_network, set_steps
from speckflex.training.on_board.sparse_start import begins_sparse, sparse_network
from speckflex.training.suitability import check_bias_free

if TYPE_CHECKING:
    from collections.abc import Callable

    from sinabs.layers import IAFSqueeze

    from speckflex.training.data import TrainingData
    from speckflex.training.settings import TrainingSettings

__all__ = [
    "add_voting_neuron",
    "bounded_neuron",
    "finetune_network",
    "for_method",
    "merge_network",
    "new_network",
    "train_network",
]

# Without batch norm, deep neurons are silent with torch's own initial weights; seen on N-MNIST.
INITIAL_GAIN = 2.0

# So deep that a class can still win if its inhibition arrives first.
VOTING_BOUND = -100.0  # thresholds
VOTING_THRESHOLD = 0.25

# Method "law" knows no lower bound, so neurons get one that their potentials seldom reach. A core
# stores it as a number of 16 bits, so it costs nothing.
LAW_BOUND = -32.0  # thresholds


def bounded_neuron(kind: str, lower_bound: float) -> Callable[[], IAFSqueeze]:
    """Return a function that makes neurons of a kind with another lower bound.

    Args:
        kind: a key of `NEURONS`.
        lower_bound: of the potential, in units of the threshold 1; below 0. The paper has -1. With
            a much lower bound, the order of excitation and inhibition matters less, and time steps
            and single events give more similar results.

    Raises:
        TrainingError: the bound is not below 0 (the chip must not have 0, datasheet 3.2.4.6.3).
    """
    if not -math.inf < lower_bound < 0:
        raise TrainingError(
            f"lower bound {lower_bound}: must be a number below 0: give one such as -1"
        )

    def make() -> IAFSqueeze:
        neuron: Any = NEURONS[kind]()
        neuron.min_v_mem.data.fill_(lower_bound)
        return neuron

    return make


def new_network(name: str, *, seed: int, **options: Any) -> nn.Module:
    """Return a network of `speckflex.networks.paper` with weights drawn from `seed`.

    Without batch norm the weights of all layers but the last are doubled, so that deep layers
    spike.

    Args:
        name: a key of `NETWORKS`.
        seed: for the weights; global random numbers stay as they were.
        options: for the network's factory.

    Raises:
        NetworkError: the name or an option is not known.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(name, **options)
    if not batch_norms(network):
        for layer in weight_layers(network)[:-1]:
            layer.module.weight.data *= INITIAL_GAIN
    return network


def add_voting_neuron(network: nn.Module, *, threshold: float = VOTING_THRESHOLD) -> nn.Sequential:
    """Return a network that is read by potential with a neuron at its end, so that spikes vote.

    Potentials give the better gradient. On the chip they would have to stay within 16 bits and be
    read neuron by neuron, while spikes are sent without reading. With a deep lower bound each
    class spikes once for each threshold that its potential reaches. Fine-tune the network in this
    form.

    Args:
        network: an `nn.Sequential` whose last layer has weights; stays as it is.
        threshold: of the new neurons; a lower one gives more spikes and fewer ties.

    Raises:
        TrainingError: the network's last layer has no weights.
    """
    copied = copy_network(network)
    layers = weight_layers(copied)
    if not isinstance(copied, nn.Sequential) or not layers or layers[-1].neuron is not None:
        raise TrainingError(
            f"{type(network).__name__} is not read by potential: give an nn.Sequential whose last"
            " layer has weights"
        )
    name = f"vote_{layers[-1].name.replace('.', '_')}"
    neuron: Any = bounded_neuron("multi-spike", VOTING_BOUND * threshold)()
    neuron.spike_threshold.data.fill_(threshold)
    # Its gradient is 1 from potential 0 up, so a class that spikes often keeps its gradient.
    neuron.surrogate_grad_fn = Heaviside(window=threshold)
    copied.add_module(name, neuron)
    return copied


def train_network(
    network: nn.Module, data: TrainingData, settings: TrainingSettings, **options: Any
) -> TrainingResult:
    """Train a network from scratch, with batch norm in its usual form; step 1 of MTT A.3.

    Args:
        network: stays as it is.
        data: recordings that train and that choose.
        settings: the choices of the training.
        options: for `fit`: files, fabric, watch, on_epoch_end.

    Raises:
        TrainingError: the method needs a trained network; or see `fit`.
    """
    if settings.method == "board":
        raise TrainingError(
            "method board begins with a trained network, because fresh weights give too few spikes"
            " to learn from: train by another method, then run speckflex finetune --method board"
        )
    network = for_method(network, settings)
    if settings.method == "mtsnn":
        set_steps(network, data.training, seed=settings.seed)
    result = fit(network, data, replace(settings, batch_norm_mode="train"), **options)
    freeze_bits(result.network, settings)
    return result


def finetune_network(
    network: nn.Module, data: TrainingData, settings: TrainingSettings, **options: Any
) -> TrainingResult:
    """Train a bias-free network further, with batch norms as constant gains; A.3, steps 3 and 4.

    At the end the remaining batch norms are merged into the weights.

    Args:
        network: without biases and running means, as after folding; stays as it is.
        data: recordings that train and that choose.
        settings: the choices of the training.
        options: for `fit`: files, fabric, watch, on_epoch_end.

    Raises:
        TrainingError: the network has a bias or a running mean; or see `fit`.
    """
    check_bias_free(network)
    if settings.method == "board":
        # The program's weights are what trains, and a norm has none of its own.
        network = merge_network(network)
    files = options.get("files")
    if begins_sparse(settings) and (files is None or files.resume is None):
        shared = {name: options.get(name) for name in ("fabric", "watch")}
        network = sparse_network(network, data, settings, **shared)
    network = for_method(network, settings)
    if settings.method == "mtsnn":
        set_steps(network, data.training, seed=settings.seed)
    result = fit(network, data, replace(settings, batch_norm_mode="locked"), **options)
    freeze_bits(result.network, settings)
    return replace(result, network=merge_network(result.network))


def for_method(network: nn.Module, settings: TrainingSettings) -> nn.Module:
    """Return the network that a method trains: with deep lower bounds, or quantised ReLUs.

    Raises:
        TrainingError: the settings name another number of layers.
        NetworkError: the method needs a chain, and it is none.
    """
    if settings.method == "mtsnn":
        return quantised_network(network, settings)
    if settings.method != "law":
        return network
    copied = copy_network(network)
    for layer in weight_layers(copied):
        if layer.neuron is not None and layer.threshold is not None:
            bound: Any = layer.neuron.min_v_mem
            lowest = LAW_BOUND * layer.threshold
            if bound is not None:
                bound.data.clamp_(max=lowest)
    return copied


def merge_network(network: nn.Module) -> nn.Module:
    """Return the network with its remaining batch norms merged, proved to be bias-free.

    Raises:
        NetworkError: a layer still adds a constant.
    """
    merged = fold_batchnorm(network)
    check_no_bias(merged)
    return merged
