"""The twin beside sinabs' time-stepped neurons, which share no code with it."""

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from agreement import assert_twin_equals_reference
from programs import random_events
from sinabs.activation import MembraneReset, MembraneSubtract, SingleSpike
from torch import nn

from speckflex.boards.twin import Twin
from speckflex.conversion.convert import convert
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import TwinSettings

THRESHOLD = 100


def stepped_core(core):
    """Return a torch network with the integers of one core."""
    out, channels, *kernel = core.weights.shape
    conv = nn.Conv2d(channels, out, tuple(kernel), core.stride, core.padding, bias=False)
    conv.weight.data = torch.tensor(core.weights.astype(np.float32))
    neuron = sl.IAFSqueeze(
        batch_size=1,
        spike_threshold=float(core.threshold_high),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset() if core.return_to_zero else MembraneSubtract(),
        min_v_mem=float(core.threshold_low),
    )
    return nn.Sequential(conv, neuron)


def rasterise(events, shape, bins, n_bins):
    """Return (bin, channel, y, x) counts."""
    raster = np.zeros((n_bins, *shape), np.float32)
    np.add.at(raster, (bins, events["p"], events["y"], events["x"]), 1)
    return torch.tensor(raster)


def random_network(rng, *, return_to_zero=False):
    """Two layers whose weights stay below the threshold, so that no residue reaches it."""
    first = Core(
        "first",
        rng.integers(-60, THRESHOLD, (6, 2, 3, 3)),
        THRESHOLD,
        -THRESHOLD,
        (2, 10, 10),
        stride=(2, 1),
        padding=(1, 2),
        return_to_zero=return_to_zero,
        destinations=(Destination(1, pooling=2),),
    )
    channels, y, x = first.output_shape
    second = Core(
        "second",
        rng.integers(-60, 90, (5, channels, 2, 2)),
        THRESHOLD,
        -30,
        (channels, y // 2, x // 2),
        return_to_zero=return_to_zero,
    )
    return Program((first, second), InputStage((2, 10, 10)), chip="unbounded")


def inputs_of_layers(program, events, recording):
    """Return the events that reach each of two layers, in order."""
    sent = recording.events(0).copy()
    _, y, x = program.cores[1].input_shape
    sent["y"] //= 2
    sent["x"] //= 2
    return events, sent[(sent["y"] < y) & (sent["x"] < x)]


@pytest.mark.parametrize("return_to_zero", [False, True])
def test_each_layer_equals_sinabs_at_one_event_a_step(rng, return_to_zero):
    program = random_network(rng, return_to_zero=return_to_zero)
    events = random_events(rng, (2, 10, 10), 800)
    with Twin() as twin:
        twin.load(program)
        recording = twin.play(events)
    inputs = inputs_of_layers(program, events, recording)
    for index, (core, arrived) in enumerate(zip(program.cores, inputs, strict=True)):
        raster = rasterise(arrived, core.input_shape, np.arange(len(arrived)), len(arrived))
        with torch.no_grad():
            spikes = stepped_core(core)(raster).numpy()
        assert spikes.sum() > 100
        assert np.array_equal(spikes.sum(axis=0), recording.counts(index)[0])
        step, channels, rows, columns = np.nonzero(spikes)
        # nonzero lists a step's spikes by (channel, y, x); the twin by (-y, -x, channel)
        order = np.lexsort((channels, -columns, -rows, step))
        mine = recording.events(index)
        assert np.array_equal(mine["p"], channels[order])
        assert np.array_equal(mine["y"], rows[order])
        assert np.array_equal(mine["x"], columns[order])


class Residual(nn.Module):
    """A block whose input skips one layer: a split and a merge, with pooling behind."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.head = nn.Conv2d(4, 3, 3, bias=False)
        self.spikes = nn.ModuleList([sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0) for _ in range(3)])
        self.merge, self.pool = sl.Merge(), sl.SumPool2d(2)

    def forward(self, x):
        a = self.spikes[0](self.first(x))
        b = self.spikes[1](self.second(a))
        return self.spikes[2](self.head(self.pool(self.merge(a, b))))


@pytest.mark.parametrize("seed", range(5))
def test_a_converted_residual_block_runs_as_the_depth_first_reference(seed):
    torch.manual_seed(seed)
    network = Residual()
    for layer in (network.first, network.second, network.head):
        layer.weight.data *= 4
    program = convert(network, (2, 8, 8), chip="unbounded")
    assert len(program.cores[0].destinations) == 2
    streams = [random_events(np.random.default_rng(seed), (2, 8, 8), 60)]
    for order in ("listed", "reversed"):
        assert_twin_equals_reference(program, streams, TwinSettings(destination_order=order))


def test_finer_time_steps_converge_to_the_twin(rng):
    program = random_network(rng)
    events = random_events(rng, (2, 10, 10), 2000)
    events["t"] = np.sort(rng.choice(20_000, 2000, replace=False))
    with Twin() as twin:
        twin.load(program)
        recording = twin.play(events, keep_events=False)
    first, second = (stepped_core(core) for core in program.cores)
    pool = nn.LPPool2d(1, 2)
    differences = {0: [], 1: []}
    for n_bins in (10, 100, 1000, 20_000):
        raster = rasterise(events, (2, 10, 10), events["t"] * n_bins // 20_000, n_bins)
        first[1].reset_states()
        second[1].reset_states()
        with torch.no_grad():
            spikes = first(raster)
            outputs = (spikes, second(pool(spikes)))
        for layer, output in enumerate(outputs):
            counts = output.sum(dim=0).numpy()
            mine = recording.counts(layer)[0]
            differences[layer].append(np.abs(counts - mine).sum() / mine.sum())
    # the second layer gets several spikes in the step of one event, and adds them up at once
    assert differences[0][-1] == 0
    assert differences[0] == sorted(differences[0], reverse=True)
    assert differences[1][-1] < 0.2 * differences[1][0]
