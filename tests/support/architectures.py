"""Architectures as users write them, with weights that 8 bits hold exactly, and how they play.

One event enters at each time step. The first layer has weights of both signs; all later layers
have none below zero and none above the threshold. Then the spikes of a layer do not depend on the
order in which its inputs arrive, so that a network of torch, which adds up all that arrives in a
step, must fire as often as the chip, which takes one spike after the other.
"""

import numpy as np
import sinabs
import sinabs.layers as sl
import torch
from torch import nn

from speckflex.boards import open_board

THRESHOLD = 127.0


def conv(inputs, outputs, kernel, stride=1, padding=0, **options):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, **({"bias": False} | options))


def linear(inputs, outputs, **options):
    return nn.Linear(inputs, outputs, **({"bias": False} | options))


def iaf(threshold=THRESHOLD, **options):
    options = {"batch_size": 1, "min_v_mem": -threshold} | options
    return sl.IAFSqueeze(spike_threshold=threshold, **options)


def timed(**options):
    """Return neurons that want an axis of time."""
    return sl.IAF(spike_threshold=THRESHOLD, min_v_mem=-THRESHOLD, **options)


def row(*layers):
    return nn.Sequential(*layers)


def two(*between, size=2):
    """Return two convolutions with layers between them."""
    return row(conv(2, 4, 3, padding=1), iaf(), *between, conv(4, 3, size), iaf())


class Own(nn.Module):
    """A network whose forward pass is a function of its layers."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)


def own(run, **layers):
    return lambda: Own(run, **{name: make() for name, make in layers.items()})


def exact(network, factors=None, seed=0):
    """Give each weight tensor integers, the largest 127, times the factor of its name."""
    random = np.random.default_rng(seed)
    first = True
    for name, tensor in network.named_parameters():
        if tensor.dim() < 2 or name.endswith(("spike_threshold", "min_v_mem")):
            continue
        low, high = (-60, 100) if first else (0, 60)
        values = random.integers(low, high, tuple(tensor.shape))
        values[random.random(values.shape) < 0.3] = 0
        values.flat[random.integers(values.size)] = 127
        factor = (factors or {}).get(name.removesuffix(".weight"), 1)
        tensor.data = torch.tensor(values * factor, dtype=torch.float32)
        first = False
    return network.eval()


def one_event_a_step(shape, n_steps=100, seed=1):
    """Return frames with one event each, (time, channel, y, x), and the same as event arrays."""
    random = np.random.default_rng(seed)
    places = [random.integers(0, size, n_steps) for size in shape]
    frames = np.zeros((n_steps, *shape), np.float32)
    frames[(np.arange(n_steps), *places)] = 1
    events = np.zeros(n_steps, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "i1")])
    events["t"] = np.arange(n_steps) * 1000
    events["p"], events["y"], events["x"] = places
    return torch.from_numpy(frames), events


@torch.no_grad()
def played_in_torch(network, shapes, frames, *, leading=(-1,), each_step=False):
    """Return the sum over all steps of what some layers gave.

    Args:
        network: run as its user runs it.
        shapes: (channel, y, x) of the layers by name.
        frames: (time, channel, y, x).
        leading: the axes that take the place of time, such as (1, -1) for batch and time.
        each_step: whether the network is called once a step, with its states kept.
    """
    gave = {name: [] for name in shapes}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _module, _given, values, name=name: gave[name].append(values.flatten().clone())
        )
        for name in shapes
    ]
    sinabs.reset_states(network)
    for part in frames.split(1 if each_step else len(frames)):
        network(part.reshape(*leading, *frames.shape[1:]).clone())
    for handle in handles:
        handle.remove()
    return {
        name: torch.cat(gave[name]).reshape(-1, *shape).sum(0).numpy()
        for name, shape in shapes.items()
    }


SHAPE = (2, 8, 8)


class Block(nn.Module):
    """Two layers under names of their own."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weights, self.spikes = conv(inputs, outputs, 3, padding=1), iaf()

    def forward(self, x):
        return self.spikes(self.weights(x))


def branches(join, width, outputs=(4, 2)):
    """Return two branches of a stem, joined in front of a linear layer of some width."""

    def run(self, x):
        x = self.stem(x)
        return self.last(join(self, self.a(x), self.b(x)))

    return own(
        run,
        stem=lambda: Block(2, 3),
        a=lambda: Block(3, outputs[0]),
        b=lambda: Block(3, outputs[1]),
        pool=lambda: sl.SumPool2d(2),
        last=lambda: row(nn.Flatten(), linear(width, 4), iaf()),
    )


def chain(run, width=108, **layers):
    """Return two convolutions c1, c2 with neurons n1, n2, and a linear layer with neurons n3."""
    made = {
        "c1": lambda: conv(2, 3, 3, padding=1),
        "n1": iaf,
        "c2": lambda: conv(3, 3, 3),
        "n2": iaf,
        "fc": lambda: linear(width, 4),
        "n3": iaf,
    }
    return own(run, **(made | layers))


def in_two(run):
    """Return a chain whose first layers run before `run`, and whose linear layer after it."""
    return chain(
        lambda net, x: net.n3(net.fc(run(net, net.n1(net.c1(x))))),
        width=48,
    )


def middle(change):
    """Return two layers with a change of the spikes between them."""
    return lambda: Own(
        lambda net, x: net.n2(net.c2(change(net.n1(net.c1(x))))),
        c1=conv(2, 2, 1),
        n1=iaf(),
        c2=conv(2, 2, 1),
        n2=iaf(),
    )


def assert_plays_alike(program, reference, shape, *, leading=(-1,), each_step=False):
    """Hold the twin's counts, layer by layer, against the sums of the user's own network."""
    frames, events = one_event_a_step(shape)
    names = {core.neuron_name or core.name: core.output_shape for core in program.cores}
    expected = played_in_torch(reference, names, frames, leading=leading, each_step=each_step)
    with open_board("twin") as board:
        board.load(program)
        recording = board.play([events])
    total = 0
    for index, core in enumerate(program.cores):
        record = recording.layers[index]
        values = record.counts[0] if record.potentials is None else record.potentials[0]
        sums = expected[core.neuron_name or core.name]
        scale = 1 if record.potentials is None else core.scale
        np.testing.assert_array_equal(values, np.rint(sums * scale), err_msg=core.name)
        total += int(np.abs(values).sum())
    assert total > 0
