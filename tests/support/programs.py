"""Random programs and event streams for property tests."""

from dataclasses import replace
from typing import get_args

import numpy as np

from speckflex.events.streams import make_events
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.output_order import ORDERS
from speckflex.twin.settings import DestinationOrder, EngineTimes, TwinSettings

MAX_SIDE = 10


def random_events(rng, shape, n_events):
    """Return events anywhere in a (channel, y, x) shape, at times that rise and repeat."""
    return make_events(
        np.sort(rng.integers(0, 50, n_events)),
        rng.integers(0, shape[2], n_events),
        rng.integers(0, shape[1], n_events),
        rng.integers(0, shape[0], n_events),
    )


def random_core(rng, input_shape, **changes):
    """Return a core with random geometry, weights, thresholds and initial state."""
    _, height, width = input_shape
    padding = tuple(int(rng.integers(0, 3)) for _ in range(2))
    kernel = tuple(
        int(rng.integers(1, min(4, side + 2 * pad) + 1))
        for side, pad in zip((height, width), padding, strict=True)
    )
    n_out = int(rng.choice([1, 2, 3, 5, 16, 19]))
    high = int(rng.choice([1, 20, 100, 127, 300, 32767], p=[0.1, 0.3, 0.3, 0.1, 0.1, 0.1]))
    values = {
        "name": f"layer{rng.integers(1000)}",
        "weights": rng.integers(-128, 128, (n_out, input_shape[0], *kernel)) + rng.integers(0, 2),
        "threshold_high": high,
        "threshold_low": int(rng.choice([0, -1, -high, -200, -32768])),
        "input_shape": input_shape,
        "stride": tuple(int(rng.choice([1, 1, 2, 4])) for _ in range(2)),
        "padding": padding,
        "return_to_zero": bool(rng.random() < 0.3),
    }
    values["weights"] = np.clip(values["weights"], -128, 127)
    core = Core(**(values | changes))
    if rng.random() < 0.3:
        limits = (-500, 500) if rng.random() < 0.7 else (-32768, 32768)
        values["initial_state"] = rng.integers(*limits, core.output_shape)
    return Core(**(values | changes))


def random_stage(rng, shape):
    """Return an input stage with random polarity, pooling, region, mirror and exchange."""
    values = {"shape": shape}
    if rng.random() < 0.6:
        return InputStage(**values)
    values["merge_polarities"] = bool(rng.random() < 0.3)
    values["keep_off"], values["keep_on"] = bool(rng.random() < 0.8), bool(rng.random() < 0.8)
    for name in ("mirror_y", "mirror_x", "swap_xy"):
        values[name] = bool(rng.random() < 0.4)
    values["pooling"] = tuple(
        int(rng.choice([p for p in (1, 2, 4) if p <= side])) for side in shape[1:]
    )
    region = InputStage(**values).region
    values["origin"] = tuple(int(rng.integers(0, side)) for side in region)
    if rng.random() < 0.5:
        values["size"] = tuple(
            int(rng.integers(1, side - at + 1))
            for side, at in zip(region, values["origin"], strict=True)
        )
    return InputStage(**values)


def random_chain(rng, n_cores):
    """Return a program of cores in a row, with random pooling between them."""
    shape = (int(rng.integers(1, 4)), *(int(side) for side in rng.integers(1, MAX_SIDE, 2)))
    stage = random_stage(rng, shape)
    cores = []
    shape = stage.output_shape
    for index in range(n_cores):
        core = random_core(rng, shape)
        if index < n_cores - 1:
            pooling = random_pooling(rng, core.output_shape)
            shape = pooled(core.output_shape, pooling)
            core = replace_destinations(core, (Destination(index + 1, pooling),))
        cores.append(core)
    return Program(tuple(cores), stage, chip="unbounded")


def random_graph(rng, n_cores):
    """Return a program in which cores split, merge and concatenate.

    A core may get the output of every earlier one with the same pooled map, once or twice;
    features are concatenated by a shift where they don't fill the input.
    """
    shape = (int(rng.integers(1, 3)), *(int(side) for side in rng.integers(2, MAX_SIDE, 2)))
    stage = random_stage(rng, shape)
    sizes = [stage.output_shape]
    poolings, cores, sends = [1], [], [[]]
    for index in range(n_cores):
        first = int(rng.integers(0, len(sizes)))
        sent = pooled(sizes[first], poolings[first])
        senders = [
            sender
            for sender in range(len(sizes))
            if pooled(sizes[sender], poolings[sender])[1:] == sent[1:]
        ]
        chosen = [first, *(s for s in senders if s != first and rng.random() < 0.8)]
        if rng.random() < 0.2:
            chosen.append(first)
        channels = max(sizes[sender][0] for sender in chosen) + int(rng.integers(0, 3))
        for sender in chosen:
            shift = int(rng.integers(0, channels - sizes[sender][0] + 1))
            sends[sender].append(Destination(index, poolings[sender], shift))
        # many cores keep their map's size, so that later ones may merge them
        changes = {}
        if rng.random() < 0.7:
            n_out = int(rng.integers(1, 4))
            weights = rng.integers(-40, 128, (n_out, channels, 3, 3))
            changes = {"weights": weights, "stride": (1, 1), "padding": (1, 1)}
            changes["threshold_high"] = int(rng.choice([60, 120]))
        core = random_core(rng, (channels, *sent[1:]), **changes)
        cores.append(core)
        sizes.append(core.output_shape)
        poolings.append(random_pooling(rng, core.output_shape) if rng.random() < 0.3 else 1)
        sends.append([])
    cores = [replace_destinations(core, d) for core, d in zip(cores, sends[1:], strict=True)]
    return Program(tuple(cores), replace_destinations(stage, sends[0]), chip="unbounded")


def with_leaks_and_decimators(rng, program):
    """Return the program with biases and decimators in some of its cores."""
    cores = []
    for core in program.cores:
        changes = {}
        if rng.random() < 0.4:
            changes["bias"] = rng.integers(-40, 60, core.output_shape[0])
        if rng.random() < 0.3:
            changes["decimator_interval"] = int(rng.integers(0, 3))
        cores.append(replace(core, **changes))
    return replace(program, cores=tuple(cores))


def with_filter(rng, program):
    """Return the program with a noise filter behind its input stage, or as it is."""
    if rng.random() < 0.5:
        return program
    rule = EventFilter(
        mode=str(rng.choice(["noise", "noise and hot pixels", "low pass"])),
        size=(int(rng.integers(0, 3)), int(rng.integers(0, 3))),
        window=int(rng.integers(1, 4)),
    )
    return replace(program, input=replace(program.input, event_filter=rule))


def with_rate(rng, program, settings):
    """Return program and settings of cores that take their time, some with a balancer."""
    rates = [2.5e5, 1e6, 4e6, 3.2e7, float(rng.uniform(1e5, 1e8))]
    settings = replace(
        settings,
        synops_per_second=float(rng.choice(rates)),
        input_buffer=int(rng.integers(0, 4)) if rng.random() < 0.85 else None,
        balancer_buffer=int(rng.integers(0, 4)),
    )
    cores = [replace(core, congestion_balancer=bool(rng.random() < 0.3)) for core in program.cores]
    return replace(program, cores=tuple(cores)), settings


def with_engines(rng, program, settings):
    """Return program and settings of cores on the chip, those on 0 and 1 with two engines."""
    places = rng.permutation(9)[: len(program.cores)].tolist()
    if rng.random() < 0.7 and 0 not in places:
        places[0] = 0
    cores = [
        replace(core, chip_core=place) for core, place in zip(program.cores, places, strict=True)
    ]
    times = [float(rng.choice(choices)) for choices in ([0, 1, 5], [0, 0.25, 1], [0, 0.5, 3])]
    settings = replace(settings, engine_times=EngineTimes(*times))
    return replace(program, cores=tuple(cores)), settings


def on_parallel_cores(rng, program, settings):
    """Return program and settings with layers on chip cores 0 and 1, and their errata."""
    places = rng.permutation(9)[: len(program.cores)].tolist()
    places[0] = int(rng.integers(0, 2)) if not {0, 1} & set(places[1:]) else places[0]
    cores = [
        replace(core, chip_core=place) for core, place in zip(program.cores, places, strict=True)
    ]
    settings = replace(
        settings,
        leak_cores_01=str(rng.choice(["works", "none"])),
        withheld_spike=str(rng.choice(["no", "last", "last"])),
    )
    return replace(program, cores=tuple(cores)), settings


def replace_destinations(sender, destinations):
    """Return a core or input stage that sends elsewhere."""
    return replace(sender, destinations=tuple(destinations))


def random_pooling(rng, shape):
    """Return a pooling window that fits on a (channel, y, x) map."""
    return int(rng.choice([p for p in (1, 1, 2, 4) if p <= min(shape[1:])]))


def pooled(shape, pooling):
    """Return the (channel, y, x) shape after pooling."""
    return (shape[0], shape[1] // pooling, shape[2] // pooling)


def random_settings(rng):
    """Return settings of the twin, one of the choices each."""
    clock = rng.choice(["none", "none", "period", "divider"])
    choose = rng.choice
    return TwinSettings(
        output_order=str(choose(ORDERS)),
        destination_order=str(choose(get_args(DestinationOrder))),
        overflow=str(choose(["saturate", "saturate", "wrap"])),
        edge_spikes=str(choose(["drop", "keep"])),
        mirror_frame=str(choose(["region", "sensor"])),
        slow_clock_period=int(rng.integers(1, 30)) if clock == "period" else None,
        slow_clock_phase=int(rng.integers(0, 20)) if clock == "period" else 0,
        slow_clock_divider=14 if clock == "divider" else None,
        leak_spikes=str(choose(["at next event", "at tick"])),
        merge_feature=int(choose([0, 0, 0, 1])),
        single_polarity_feature=[0, 0, 1, "that of the polarity"][rng.integers(4)],
        decimator_table=str(choose(["without 64", "with 64"])),
        decimator_passes=str(choose(["last", "first"])),
        decimator_monitor=str(choose(["before", "after"])),
    )
