"""Measure a training step with three IF neurons: the fused one, sinabs' and spikingjelly's.

    python benchmarks/bench_neuron.py [--seconds S] [--networks NAME ...] [--steps T ...]
                                      [--batches N ...] [--json FILE]

In the rows "layer" a step is forward and backward of 16 x 17 x 17 neurons alone. In the others it
is forward, cross entropy of the output averaged over time, backward and AdamW, on the paper's
3C1FC and 4C2FC networks. The neurons take turns in one run, step by step, so that other work on
the machine affects all of them alike. Times are medians of processor time, in milliseconds.

spikingjelly is measured if it is installed. Its IF neuron fires at most once per time step and
has no lower bound, so it computes less than the other two. "single" is the fused neuron limited
to one spike per time step, for comparison with it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex.networks.neurons import fused_neurons
from speckflex.networks.paper import NETWORKS, multi_spike_neuron, single_spike_neuron
from speckflex.training.mixed.stages import reset_states

if TYPE_CHECKING:
    from collections.abc import Callable


LAYER_ALONE = "layer"


class TimeFirst(nn.Module):
    """spikingjelly's multi-step IF on squeezed frames `(time * batch, ...)`."""

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron, surrogate

        self.n_steps = n_steps
        self.node = neuron.IFNode(
            v_threshold=1.0,
            v_reset=None,
            surrogate_function=surrogate.Sigmoid(),
            step_mode="m",
        )

    def forward(self, current: torch.Tensor) -> torch.Tensor:
        """Return the spikes, in the input's layout."""
        return self.node(current.unflatten(0, (self.n_steps, -1))).flatten(0, 1)


def sinabs_neuron(make: Callable[[], Any], batch: int) -> nn.Module:
    """Return sinabs' neuron for squeezed frames `(batch * time, ...)`."""
    layer = make()
    layer.batch_size = batch
    return layer


def make_steps(name: str, n_steps: int, batch: int) -> dict[str, Callable[[], None]]:
    """Return one training step for each neuron, all with the same initial weights."""
    generator = torch.Generator().manual_seed(0)
    rates = torch.full((batch, n_steps, *NETWORKS[name].input_shape), 3 / n_steps)
    frames = torch.poisson(rates, generator=generator)
    labels = torch.randint(0, 10, (batch,), generator=generator)
    multi = functools.partial(sinabs_neuron, multi_spike_neuron, batch)
    single = functools.partial(sinabs_neuron, single_spike_neuron, batch)
    steps = {
        "sinabs": training_step(name, multi, frames, labels),
        "fused": training_step(name, multi, frames, labels, fuse=True),
        "single": training_step(name, single, frames, labels, fuse=True),
    }
    if importlib.util.find_spec("spikingjelly"):
        time_first = functools.partial(TimeFirst, n_steps)
        steps["spikingjelly"] = training_step(
            name, time_first, frames.transpose(0, 1).contiguous(), labels, time_axis=0
        )
    return steps


def layer_steps(n_steps: int, batch: int) -> dict[str, Callable[[], None]]:
    """Return forward and backward of the neurons alone, 16 channels of 17 x 17."""
    generator = torch.Generator().manual_seed(0)
    current = torch.randn(batch * n_steps, 16, 17, 17, generator=generator)
    multi = functools.partial(sinabs_neuron, multi_spike_neuron, batch)
    single = functools.partial(sinabs_neuron, single_spike_neuron, batch)
    steps = {
        "sinabs": layer_step(multi(), current),
        "fused": layer_step(multi(), current, fuse=True),
        "single": layer_step(single(), current, fuse=True),
    }
    if importlib.util.find_spec("spikingjelly"):
        steps["spikingjelly"] = layer_step(TimeFirst(n_steps), current)
    return steps


def layer_step(
    layer: nn.Module, current: torch.Tensor, *, fuse: bool = False
) -> Callable[[], None]:
    """Return a function that runs one neuron layer forward and backward."""
    current = current.clone().requires_grad_()
    gradient = torch.ones_like(current)
    context = functools.partial(fused_neurons, layer) if fuse else contextlib.nullcontext

    def step() -> None:
        current.grad = None
        forget(layer)
        with context():
            spikes = layer(current)
        spikes.backward(gradient)

    return step


def training_step(
    name: str,
    neuron: Callable[[], nn.Module],
    frames: torch.Tensor,
    labels: torch.Tensor,
    *,
    fuse: bool = False,
    time_axis: int = 1,
) -> Callable[[], None]:
    """Return a function that trains a new network for one step."""
    torch.manual_seed(0)
    network = NETWORKS[name](neuron=neuron, voting="potential")
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-4)
    squeezed = frames.flatten(0, 1)
    context = functools.partial(fused_neurons, network) if fuse else contextlib.nullcontext

    def step() -> None:
        optimiser.zero_grad()
        forget(network)
        with context():
            output = network(squeezed).unflatten(0, frames.shape[:2])
        nn.functional.cross_entropy(output.mean(time_axis), labels).backward()
        optimiser.step()

    return step


def forget(network: nn.Module) -> None:
    """Set the potentials of the neurons of all libraries to zero."""
    reset_states(network)
    for layer in network.modules():
        if isinstance(layer, TimeFirst):
            layer.node.reset()


def interleaved_times(
    steps: dict[str, Callable[[], None]], seconds: float, least: int = 3
) -> dict[str, list[float]]:
    """Return the processor seconds of each call; the functions take turns until time is over."""
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["fused"]) < least:
        for name, step in steps.items():
            start = time.process_time()
            step()
            times[name].append(time.process_time() - start)
    return times


def measure(name: str, n_steps: int, batch: int, seconds: float) -> dict[str, Any]:
    """Return the medians of one network, length and batch size, in milliseconds."""
    alone = name == LAYER_ALONE
    steps = layer_steps(n_steps, batch) if alone else make_steps(name, n_steps, batch)
    times = interleaved_times(steps, seconds)
    medians = {neuron: 1000 * statistics.median(values) for neuron, values in times.items()}
    rounds = len(times["fused"])
    return {"network": name, "T": n_steps, "batch": batch, "rounds": rounds, "ms": medians}


def print_row(result: dict[str, Any]) -> None:
    """Print one row of the table."""
    milliseconds = result["ms"]
    other = milliseconds.get("spikingjelly")
    jelly = "- | -" if other is None else f"{other:.1f} | {other / milliseconds['single']:.2f}"
    print(
        f"| {result['network']} | {result['T']} | {result['batch']} |"
        f" {milliseconds['fused']:.1f} | {milliseconds['sinabs']:.1f} |"
        f" {milliseconds['sinabs'] / milliseconds['fused']:.2f} |"
        f" {milliseconds['single']:.1f} | {jelly} | {result['rounds']} |",
        flush=True,
    )


def main() -> None:
    """Measure every combination and print a table, in milliseconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each row (default: 20)")
    parser.add_argument(
        "--networks", nargs="+", default=[LAYER_ALONE, "nmnist-3c1fc", "gesture-4c2fc"]
    )
    parser.add_argument("--steps", nargs="+", type=int, default=[10, 40], help="time steps")
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, threads {torch.get_num_threads()}, load {os.getloadavg()}")
    print(
        "| network | T | batch | fused | sinabs | ratio | single | spikingjelly | ratio | rounds |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    results = []
    for name in arguments.networks:
        for n_steps in arguments.steps:
            for batch in arguments.batches:
                results.append(measure(name, n_steps, batch, arguments.seconds))
                print_row(results[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
