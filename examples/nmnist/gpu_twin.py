"""The twin on a GPU against the twin on the CPU: equality on random programs, and speed."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import speckflex as sf
from speckflex.analysis.synops import measure_synops
from speckflex.boards.twin import Twin
from speckflex.networks.neurons import fused_neurons
from speckflex.training.pipeline import bounded_neuron, new_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.program.program import Program

SUPPORT = Path(__file__).parents[2] / "tests" / "support"
N_PROGRAMS = 100
COMPARED = 200  # real recordings that the network plays on both
SIZES = (32, 256, 1000, 4000)
MOST_ON_CPU = 64
REPEATS = 3


def compare_twins(
    streams: Sequence[np.ndarray], device: str, until: float, write: Callable[..., None]
) -> None:
    """Compare every spike, count and potential of random programs and of a real network.

    Args:
        streams: real recordings.
        device: "cuda", or "cpu" to try this script without a GPU.
        until: seconds of the clock at which no new comparison begins.
        write: keeps what is found.
    """
    sys.path.insert(0, str(SUPPORT))
    import programs

    program = network_program()
    write(network_same=is_same(program, list(streams[:COMPARED]), device))
    same, different = 0, []
    for seed in range(N_PROGRAMS):
        if time.time() > until:
            break
        rng = np.random.default_rng(seed)
        program = programs.random_graph(rng, int(rng.integers(1, 5)))
        events = [
            programs.random_events(rng, program.input.shape, int(n))
            for n in rng.choice([0, 3, 40, 400], rng.integers(1, 4))
        ]
        if is_same(program, events, device):
            same += 1
        else:
            different.append(seed)
    write(random_programs_same=same, random_programs_different=different)


def compare_neurons(device: str, write: Callable[..., None]) -> None:
    """Compare the training's neurons on a device with those on the CPU: spikes and gradients."""
    current = torch.randn(320, 16, 9, 9, generator=torch.Generator().manual_seed(1))
    by_spikes = torch.randn(current.shape, generator=torch.Generator().manual_seed(2))
    sent, gradients = [], []
    for place in ("cpu", device):
        neuron: Any = bounded_neuron("multi-spike", -1.0)()
        neuron.batch_size = 32
        neuron = neuron.to(place)
        given = current.to(place, copy=True).requires_grad_()
        with fused_neurons(torch.nn.Sequential(neuron)):
            spikes = neuron(given)
        spikes.backward(by_spikes.to(place))
        sent.append(spikes.detach().cpu())
        gradients.append(given.grad.cpu())  # pyright: ignore[reportOptionalMemberAccess]
    largest = float((gradients[0] - gradients[1]).abs().max())
    write(neurons_same=torch.equal(*sent), largest_difference_of_gradients=largest)


def network_program() -> Program:
    """Return 3C1FC(W16) with fresh weights."""
    neuron = bounded_neuron("multi-spike", -1.0)
    network = new_network("nmnist-3c1fc", seed=1000, neuron=neuron, voting="spikes")
    return sf.convert(network, input_shape=(2, 34, 34))


def is_same(program: Program, streams: list[np.ndarray], device: str) -> bool:
    """Return whether both devices give the same spikes, counts and potentials."""
    with Twin(threads=1) as cpu, Twin(device=device) as other:
        for each in (cpu, other):
            each.load(program)
        expected, found = cpu.play(streams), other.play(streams)
        for layer in range(len(program.cores)):
            if not np.array_equal(expected.counts(layer), found.counts(layer)):
                return False
            if not np.array_equal(cpu.read_neurons(layer), other.read_neurons(layer)):
                return False
            for sample in range(len(streams)):
                if not np.array_equal(expected.events(layer, sample), found.events(layer, sample)):
                    return False
    return True


def measure_speed(
    streams: Sequence[np.ndarray], device: str, until: float, write: Callable[..., None]
) -> None:
    """Write the recordings per second that both devices play, in turns, copies included."""
    program = network_program()
    speeds: dict[str, Any] = {}
    with Twin(threads=1) as cpu, Twin(device=device) as other:
        for each in (cpu, other):
            each.load(program)
        few = list(streams[:COMPARED])
        layers = measure_synops(program, cpu.play(few), few)
        synops = sum(layer.total for layer in layers) / len(few)
        write(synops_per_recording=synops)
        for size in SIZES:
            chosen = [streams[index % len(streams)] for index in range(size)]
            for keep_events in (False, True):
                for name, board in (("cpu, 1 thread", cpu), (device, other)):
                    if time.time() > until:
                        return
                    played = chosen[:MOST_ON_CPU] if board is cpu else chosen
                    per_second = speed(board, played, keep_events=keep_events)
                    kind = "events kept" if keep_events else "counts"
                    speeds[f"{name}, {size} recordings, {kind}"] = per_second
                    write(recordings_per_second=speeds)


def speed(board: Twin, streams: list[np.ndarray], *, keep_events: bool) -> float:
    """Return recordings per second, the median of some plays."""
    board.play(streams[:2], keep_events=keep_events)
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        board.play(streams, keep_events=keep_events)
        taken.append(time.perf_counter() - started)
    return len(streams) / statistics.median(taken)
