"""Measure the twin's kernel against the same loop written by hand in C++: 3x3 layers, one thread.

    python benchmarks/bench_kernel.py [--json FILE] [--repeats N] [--flags="-march=native"]
        [--order=-y-x+c]

Both run the same events on the same integers in one process, in turns, and must agree in every
spike. The hand-written loop has two forms (see bound.cpp); the faster one is the bound. The
table has the medians, in synaptic operations per second of processor time, and the twin's speed
divided by the bound. The bound gets the layer turned as the order of output has it, and sends the
spikes of one event by place, then channel; where the order has the channel further out, the twin
sorts them and the bound does not.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.kernels.integrate import LANES, integrate
from speckflex.program.records import Core
from speckflex.program.routing import places_of
from speckflex.twin.cores import CoreModel, RunningCore
from speckflex.twin.queue_runner import QueueRunner
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, N_IN = 16, 16
# for each layer; so many events that no branch predictor can learn them
N_UPDATES = 4_000_000
CHANNELS = (16, 32, 64, 128, 256, 512)
# mean and spread of the weights, and the threshold; they decide how many updates fire
REGIMES = {
    "chip-like, about 2 % fire": (3, 40, 210),
    "quiet, under 0.1 % fire": (0, 20, 3000),
    "most updates fire": (64, 20, 20),
}

# the forms of the hand-written loop, and how each is compiled
FORMS = {"asking": "-DASKS=1", "writing": "-DASKS=0"}


def compile_bound(folder: str, flags: str) -> dict[str, Callable[..., int]]:
    """Return the forms of the hand-written loop as functions."""
    source, functions = Path(__file__).with_name("bound.cpp"), {}
    for form, definition in FORMS.items():
        library = Path(folder) / f"{form}.so"
        options = ["-O3", definition, *shlex.split(flags), "-shared", "-fPIC"]
        subprocess.run(["g++", *options, "-o", library, source], check=True)
        functions[form] = ctypes.CDLL(str(library)).play_3x3
        functions[form].restype = ctypes.c_int64
    return functions


def make_layer(rng: np.random.Generator, n_out: int, regime: str) -> tuple[Core, np.ndarray]:
    """Return a 3x3 core and events on its input, as (channel, y, x)."""
    mean, spread, threshold = REGIMES[regime]
    weights = np.clip(np.round(rng.normal(mean, spread, (n_out, N_IN, 3, 3))), -128, 127)
    n_events = N_UPDATES // (9 * n_out)
    core = Core("layer", weights, threshold, -threshold, (N_IN, SIDE, SIDE), padding=(1, 1))
    events = np.column_stack([rng.integers(0, high, n_events) for high in (N_IN, SIDE, SIDE)])
    return core, events.astype(np.int32)


class TwinRun:
    """The package's kernel, called as the twin calls it."""

    def __init__(self, core: Core, events: np.ndarray, spikes: np.ndarray, order: str) -> None:
        places = places_of(core.input_shape)
        self.model = CoreModel(core, [places], TwinSettings(output_order=order))
        self.core = RunningCore(self.model)
        self.runner = QueueRunner(self.core)
        self.codes = ((events[:, 1] * SIDE + events[:, 2]) * N_IN + events[:, 0]).astype(np.int32)
        self.spikes = spikes
        self.ends = np.empty(len(events), np.int32)

    def __call__(self) -> tuple[float, np.ndarray]:
        """Run all events from zero state; return seconds of processor time and spikes."""
        self.core.reset()
        arrays = self.runner.arrays
        started = time.thread_time()
        _, n_spikes = integrate(self.codes, 0, arrays, self.spikes, self.ends)
        return time.thread_time() - started, self.spikes[:n_spikes]


class BoundRun:
    """The hand-written loop on the same layer, turned as in the twin's memory."""

    def __init__(self, function: Callable[..., int], twin: TwinRun, events: np.ndarray) -> None:
        self.function, self.core, self.spikes = function, twin.model.core, twin.spikes
        core, model = self.core, twin.model
        outer, inner = events[:, 1], events[:, 2]
        if model.memory_map.axes == "xy":
            outer, inner = inner, outer
        places = (events[:, 0], model.rows.inputs(outer), model.columns.inputs(inner))
        self.events = np.column_stack(places).astype(np.int32)
        turned = model.memory_map.weights(core.weights)
        arranged = turned[..., ::-1].transpose(1, 2, 3, 0)
        self.weights = np.concatenate([arranged.reshape(-1), np.zeros(64, np.int8)])
        n_neurons = int(np.prod(core.output_shape))
        self.state = np.zeros(n_neurons + 64, np.int16)
        self.ends = np.empty(len(self.events), np.int32)

    def __call__(self) -> tuple[float, np.ndarray]:
        """Run all events from zero state; return seconds of processor time and spikes."""
        self.state[:] = 0
        core = self.core
        pointers = [
            ctypes.c_void_p(array.ctypes.data)
            for array in (self.events, self.weights, self.state, self.spikes, self.ends)
        ]
        events, weights, state, spikes, ends = pointers
        started = time.thread_time()
        n_spikes = self.function(
            events, ctypes.c_int64(len(self.events)), weights, state, SIDE, SIDE,
            core.output_shape[0], core.threshold_high, core.threshold_low, spikes, ends,
        )  # fmt: skip
        return time.thread_time() - started, self.spikes[:n_spikes]


def take_turns(
    runs: dict[str, Callable[[], tuple[float, np.ndarray]]], repeats: int
) -> dict[str, float]:
    """Return the median time of each, in seconds."""
    times = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(run()[0])
    return {name: statistics.median(values) for name, values in times.items()}


def by_event(spikes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return spikes sorted within each event."""
    events = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    return spikes[np.lexsort((spikes, events))]


def measure(
    functions: dict[str, Callable[..., int]], n_out: int, regime: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the figures of one layer in one regime."""
    core, events = make_layer(np.random.default_rng(n_out), n_out, regime)
    # one memory for all, or each run would find its own memory evicted from the caches
    spikes = np.empty(len(events) * 9 * n_out + 2 * LANES, np.int32)
    twin = TwinRun(core, events, spikes, options.order)
    bounds = {form: BoundRun(function, twin, events) for form, function in functions.items()}
    expected = by_event(twin()[1], twin.ends)
    for bound in bounds.values():
        if not np.array_equal(by_event(bound()[1], bound.ends), expected):
            raise SystemExit(f"{n_out} channels, {regime}: the spikes differ")
    runs: dict[str, Callable[[], tuple[float, np.ndarray]]] = {**bounds, "twin": twin}
    n_updates = int(twin.model.updates_per_route()[twin.codes].sum())
    speed = {
        name: n_updates / seconds for name, seconds in take_turns(runs, options.repeats).items()
    }
    return {
        "channels": n_out,
        "regime": regime,
        "fired": len(expected) / n_updates,
        "twin_synops_per_second": speed["twin"],
        **{f"{form}_synops_per_second": speed[form] for form in FORMS},
        "ratio": speed["twin"] / max(speed[form] for form in FORMS),
    }


def main() -> None:
    """Measure every layer in every regime and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--repeats", type=int, default=15, help="runs of each loop (default: 15)")
    parser.add_argument("--flags", default="-march=native", help="for g++ (default: -march=native)")
    default = TwinSettings().output_order
    parser.add_argument("--order", default=default, help=f"of output (default: {default})")
    options = parser.parse_args()
    results = []
    print("channels  fired   twin  asking writing  ratio  (G SynOps/s)")
    with tempfile.TemporaryDirectory() as folder:
        functions = compile_bound(folder, options.flags)
        for regime in REGIMES:
            print(regime)
            for n_out in CHANNELS:
                figures = measure(functions, n_out, regime, options)
                results.append(figures)
                speeds = [
                    f"{figures[f'{name}_synops_per_second'] / 1e9:7.2f}"
                    for name in ("twin", *FORMS)
                ]
                print(f"{n_out:8d} {figures['fired']:6.4f}", *speeds, f"{figures['ratio']:6.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
