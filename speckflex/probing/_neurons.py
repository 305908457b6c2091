"""Experiments on neurons: their range, their leak, their addresses, what resets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.chips.formats import NEURON_MAX, NEURON_MIN
from speckflex.probing._cores import CORE, THETA, layer_of
from speckflex.probing.experiment import Experiment

if TYPE_CHECKING:
    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

PARALLEL = (0, 1)  # the cores with two engines
N_EVENTS = 7
STEP, N_TICKS = 20, 10
STARTS = [100, 50]  # potentials of two neurons
LEAKED = [start - N_TICKS for start in STARTS]
LIFT = 127  # beyond the largest potential, from 67 below it
WIDE = (2, 2, 8)  # (feature, y, x) of a map that is not square
KERNEL = (4, 2, 3, 3)  # (out, in, ky, kx)


def _initial(value: int) -> np.ndarray:
    return np.full((1, 1, 1), value)


def _overflow(bench: Bench) -> dict[str, int]:
    """Return spikes and potential after a step beyond the largest potential."""
    start = NEURON_MAX - LIFT + 60
    core = layer_of(LIFT, threshold=NEURON_MAX, low=NEURON_MIN, initial_state=_initial(start))
    bench.apply(bench.configuration({CORE: core}))
    seen = bench.seen([bench.spike(CORE)], CORE)
    return {"spikes": len(seen), "potential": bench.state(CORE)}


def _leak_spikes(bench: Bench) -> list[int]:
    """Return how many spikes came at a tick to the threshold, and then at an event of weight 0."""
    core = layer_of([[[[0]], [[THETA]]]], bias=np.array([THETA]))
    bench.apply(bench.configuration({CORE: core}))
    before = bench.seen([], CORE)
    bench.tick()
    at_tick = bench.seen([], CORE)
    after = bench.seen([bench.spike(CORE)], CORE)
    return [len(at_tick) - len(before), len(after)]


def _leaked(bench: Bench, core: int) -> list[int]:
    """Return the potentials of two neurons of a core after ticks of a bias of -1."""
    layer = layer_of(
        THETA,
        size=(1, 2),
        threshold=NEURON_MAX,
        bias=np.array([-1]),
        initial_state=np.array([[STARTS]]),
    )
    bench.apply(bench.configuration({core: layer}))
    bench.tick(N_TICKS)
    return bench.states(core, [0, 1])


def _leak_of_parallel_cores(bench: Bench) -> dict[str, list[int]]:
    """Return the potentials on cores 0, 1 and, to compare with, 3."""
    return {f"core {core}": _leaked(bench, core) for core in (*PARALLEL, CORE)}


def _withheld(bench: Bench) -> dict[str, list[int]]:
    """Return for cores 0 and 1 the spikes of N events, and those of one event more."""
    found = {}
    for core in PARALLEL:
        bench.apply(bench.configuration({core: layer_of(THETA)}))
        first = bench.seen([bench.spike(core)] * N_EVENTS, core)
        found[f"core {core}"] = [len(first), len(bench.seen([bench.spike(core)], core))]
    return found


def _model_reset(bench: Bench) -> int | str:
    """Return the potential of a neuron from 50, lifted by 20, after samna's reset of the model."""
    if not bench.link.can_reset_neurons:
        return "this samna has no Model.reset()"
    core = layer_of(STEP, threshold=NEURON_MAX, initial_state=_initial(50))
    bench.apply(bench.configuration({CORE: core}))
    bench.seen([bench.spike(CORE)], CORE)
    bench.link.reset_neurons()
    return bench.state(CORE)


def _neuron_address(bench: Bench) -> list[int]:
    """Return the potential at every address of a map of 2 x 8 with 2 features, each its own."""
    size = int(np.prod(WIDE))
    states = 1 + np.arange(size).reshape(WIDE)
    core = layer_of(
        np.zeros((WIDE[0], 1, 1, 1)), size=WIDE[1:], threshold=NEURON_MAX, initial_state=states
    )
    bench.apply(bench.configuration({CORE: core}))
    return bench.states(CORE, range(size))


def _states_at(shift_of_y: int) -> list[int]:
    """Return what `_neuron_address` sees if y stands at a bit of the address, x above feature."""
    memory = dict.fromkeys(range(int(np.prod(WIDE))), 0)
    for value, (feature, y, x) in enumerate(np.ndindex(*WIDE), start=1):
        address = y << shift_of_y | x << 1 | feature
        memory[address] = value
    return list(memory.values())


def _weight_address(bench: Bench) -> list[int]:
    """Return the weight at every address of a kernel whose weights all differ."""
    weights = 1 + np.arange(int(np.prod(KERNEL))).reshape(KERNEL)
    core = layer_of(weights, size=(3, 3), threshold=NEURON_MAX)
    bench.apply(bench.configuration({CORE: core}))
    addresses = range(2 ** (1 + 4 + 2))
    requests = [bench.event("ReadWeightValue", layer=CORE, address=a) for a in addresses]
    found = {event.address: event.weight for event in bench.answers(requests, "WeightValue")}
    return [int(found.get(address, 0)) for address in addresses]


def _weights_at(*, tap_on_top: bool) -> list[int]:
    """Return what `_weight_address` sees: tap, output, input from the top, or input, tap, output.

    The data sheet's example has 9 taps in 4 bits, 4 features in 2 and 2 channels in 1.
    """
    memory = [0] * 2 ** (1 + 4 + 2)
    for value, (out, channel, y, x) in enumerate(np.ndindex(*KERNEL), start=1):
        tap = y * KERNEL[3] + x
        address = tap << 3 | out << 1 | channel if tap_on_top else channel << 6 | tap << 2 | out
        memory[address] = value
    return memory


def _all_cores(value: Any) -> dict[str, Any]:
    """Return the same for each core with two engines."""
    return {f"core {core}": value for core in PARALLEL}


EXPERIMENTS = (
    Experiment(
        "overflow",
        "what a potential does beyond 32767",
        _overflow,
        {
            # 32700 + 127 stops at 32767, the threshold, and fires
            "saturate": {"spikes": 1, "potential": 0},
            "wrap": {"spikes": 0, "potential": NEURON_MIN + 59},
            "compare before cutting to 16 bits": {"spikes": 1, "potential": 60},
        },
    ),
    Experiment(
        "leak_spikes",
        "when a neuron fires that a tick of the slow clock lifts to its threshold",
        _leak_spikes,
        {"at next event": [0, 1], "at tick": [1, 0]},
    ),
    Experiment(
        "leak_cores_01",
        "whether the leak works on cores 0 and 1",
        _leak_of_parallel_cores,
        {
            "works": _all_cores(LEAKED) | {f"core {CORE}": LEAKED},
            "none": _all_cores(STARTS) | {f"core {CORE}": LEAKED},
        },
    ),
    Experiment(
        "withheld_spike",
        "whether cores 0 and 1 hold back the last spike until another comes",
        _withheld,
        {"no": _all_cores([N_EVENTS, 1]), "last": _all_cores([N_EVENTS - 1, 1])},
    ),
    Experiment(
        "model_reset",
        "what samna's Model.reset() sets the neurons to",
        _model_reset,
        {"initial values": 50, "zero": 0, "nothing": 50 + STEP},
    ),
    Experiment(
        "neuron_address",
        "how neurons are numbered on a map that is not square",
        _neuron_address,
        {"y above x in as many bits as each needs": _states_at(4)},
    ),
    Experiment(
        "weight_address",
        "how the words of a kernel are numbered",
        _weight_address,
        {
            "tap, output, input": _weights_at(tap_on_top=True),
            "input, tap, output": _weights_at(tap_on_top=False),
        },
    ),
)
