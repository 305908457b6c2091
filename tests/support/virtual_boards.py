"""Programs, their configurations, and virtual devkits to play them, for tests."""

import math
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from speckflex import virtual
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

TIMEOUT = 20.0


def random_square_core(rng, input_shape, index):
    """Return a random core with a square kernel, the only kind that the chip has."""
    _, height, width = input_shape
    padding = tuple(int(rng.integers(0, 3)) for _ in range(2))
    largest = min(height + 2 * padding[0], width + 2 * padding[1], 4)
    size = int(rng.integers(1, largest + 1))
    n_out = int(rng.integers(1, 6))
    core = Core(
        name=f"core {index}",
        weights=rng.integers(-128, 128, (n_out, input_shape[0], size, size)),
        threshold_high=int(rng.choice([30, 100, 250])),
        threshold_low=int(rng.choice([-1, -100, -32768])),
        input_shape=input_shape,
        stride=tuple(int(rng.choice([1, 1, 2])) for _ in range(2)),
        padding=padding,
        return_to_zero=bool(rng.random() < 0.3),
        chip_core=index,
    )
    return replace(core, initial_state=rng.integers(-20, 20, core.output_shape))


def square_chain(rng, n_cores):
    """Return a program of cores 0, 1 ... in a row, some with pooling."""
    shape = (2, int(rng.integers(4, 12)), int(rng.integers(4, 12)))
    stage, cores = InputStage(shape), []
    for index in range(n_cores):
        core = random_square_core(rng, shape, index)
        channels, height, width = core.output_shape
        pooling = 2 if min(height, width) > 1 and rng.random() < 0.5 else 1
        if index < n_cores - 1:
            core = replace(core, destinations=(Destination(index + 1, pooling=pooling),))
        cores.append(core)
        shape = (channels, height // pooling, width // pooling)
    return Program(tuple(cores), stage, "speck2e")


def write_core(layer, core, order):
    """Write a core of a program into a core of a configuration."""
    _, in_y, in_x = core.input_shape
    out, out_y, out_x = core.output_shape
    layer.dimensions = {
        "padding": {"y": core.padding[0], "x": core.padding[1]},
        "stride": {"y": core.stride[0], "x": core.stride[1]},
        "kernel_size": core.weights.shape[2],
        "input_shape": {"size": {"x": in_x, "y": in_y}, "feature_count": core.input_shape[0]},
        "output_shape": {"size": {"x": out_x, "y": out_y}, "feature_count": out},
    }
    layer.weights = core.weights.transpose(0, 1, 3, 2).tolist()
    layer.threshold_high, layer.threshold_low = core.threshold_high, core.threshold_low
    layer.return_to_zero = core.return_to_zero
    if core.initial_state is not None:
        layer.neurons_initial_value = core.initial_state.transpose(0, 2, 1).tolist()
    if core.bias is not None:
        layer.biases, layer.leak_enable = core.bias.tolist(), True
    for place, destination in zip(layer.destinations, core.destinations, strict=False):
        place.enable, place.layer = True, order[destination.core]
        place.pooling, place.feature_shift = destination.pooling, destination.feature_shift


def empty_configuration(chip="speck2e"):
    """Return a configuration without cores, whose DVS layer turns nothing round."""
    configuration = getattr(virtual.stand_in(), chip).configuration.SpeckConfiguration()
    configuration.dvs_layer.mirror = {"x": False, "y": False}
    configuration.dvs_layer.mirror_diagonal = False
    return configuration


def configuration_of(program, *, monitor=True, chip="speck2e"):
    """Return the chip's configuration of a program whose cores are placed."""
    configuration = empty_configuration(chip)
    order = [core.chip_core for core in program.cores]
    for core in program.cores:
        layer = configuration.cnn_layers[core.chip_core]
        write_core(layer, core, order)
        layer.monitor_enable = monitor
    return configuration


def single_core(weight=127, threshold=127, *, size=1, **changes):
    """Return a program of one 1x1 convolution on a map of one channel."""
    core = Core(
        name="core 0",
        weights=np.full((1, 1, 1, 1), weight),
        threshold_high=threshold,
        threshold_low=-127,
        input_shape=(1, size, size),
        chip_core=0,
        **changes,
    )
    return Program((core,), InputStage((1, size, size)), "speck2e")


@contextmanager
def opened(
    configuration=None, *, device="Speck2eDevKit", speed=math.inf, faults=None, unverified=None
):
    """Yield an opened devkit with a source and a sink; it is detached afterwards."""
    info = virtual.attach(device, speed=speed, faults=faults, unverified=unverified)
    try:
        yield Bench(info, configuration)
    finally:
        virtual.detach(info)


class Bench:
    """An opened virtual devkit with buffers at both ends; its stop watch runs."""

    def __init__(self, info, configuration):
        self.samna = virtual.stand_in()
        self.info = info
        self.handle = self.samna.device.open_device(info)
        self.chip = self.samna.speck2e if "2e" in info.device_type_name else self.samna.speck2f
        self.model = self.handle.get_model()
        self.source = self.samna.graph.source_to(self.model.get_sink_node())
        self.sink = self.samna.graph.sink_from(self.model.get_source_node())
        if configuration is not None:
            self.model.apply_configuration(configuration)
        self.handle.get_stop_watch().start()

    def spikes(self, events, layer=0):
        """Return an event array as the chip's spikes for one layer."""
        kind = self.chip.event.Spike
        return [
            kind(feature=int(p), layer=layer, timestamp=int(t), x=int(x), y=int(y))
            for t, x, y, p in events.tolist()
        ]

    def ask(self, events, n_answers):
        """Write events and return the answers, once there are as many as expected."""
        self.source.write(events)
        return self.sink.get_n_events(n_answers, timeout_ms=1000 * TIMEOUT)

    def settle(self):
        """Return the events up to the answer to a read, which comes last in the queue."""
        read = self.chip.event.ReadNeuronValue(layer=0, address=0)
        self.source.write([read])
        events, deadline = [], time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            events += self.sink.get_events_blocking(timeout_ms=1000 * TIMEOUT)
            if isinstance(events[-1], self.chip.event.NeuronValue):
                return events[:-1]
        raise TimeoutError("the virtual devkit did not answer")

    def play(self, events):
        """Write events and return all spikes that they cause."""
        self.source.write(events)
        return self.settle()


def as_rows(spikes, layer):
    """Return (t, x, y, feature) of a layer's spikes in the order of their arrival."""
    return [(e.timestamp, e.x, e.y, e.feature) for e in spikes if e.layer == layer]


def rising_events(rng, shape, n):
    """Return n events at different times, so that each output has one cause."""
    return make_events(
        np.arange(1, n + 1) * 10,
        rng.integers(0, shape[2], n),
        rng.integers(0, shape[1], n),
        rng.integers(0, shape[0], n),
    )
