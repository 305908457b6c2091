"""A chain of two cores, neuron by neuron and event by event, with numpy alone.

The rules are those of `docs/twin.md`: what a neuron does, and how events wait where cores take
their time. Nothing of the package is imported.
"""

from dataclasses import dataclass, field

import numpy as np

ROOM = 16  # events that wait at a core, the twin's default


def fan_out(core):
    """Return (y, x): the neurons that an event at a place updates, counted kernel by kernel."""
    out, _, *kernel = core["weights"].shape
    sides = []
    for axis in range(2):
        size, pad, stride = (
            core["input_shape"][1 + axis],
            core["padding"][axis],
            core["stride"][axis],
        )
        n_neurons = (size + 2 * pad - kernel[axis]) // stride + 1
        covered = np.zeros(size + 2 * pad, int)
        for neuron in range(n_neurons):
            covered[neuron * stride : neuron * stride + kernel[axis]] += 1
        sides.append(covered[pad : pad + size])
    return out * np.outer(*sides)


class Neurons:
    """The neurons of one core."""

    def __init__(self, core):
        self.core = core
        out, _, *self.kernel = core["weights"].shape
        height, width = (
            (core["input_shape"][1 + axis] + 2 * core["padding"][axis] - self.kernel[axis])
            // core["stride"][axis]
            + 1
            for axis in range(2)
        )
        start = core["initial_state"]
        self.potentials = np.zeros((out, height, width), int) if start is None else start.copy()

    def take(self, p, y, x):
        """Take one event; return the (p, y, x) of the spikes, falling in y and x, p rising."""
        fired = np.zeros(self.potentials.shape, bool)
        low, high = self.core["threshold_low"], self.core["threshold_high"]
        (pad_y, pad_x), (step_y, step_x) = self.core["padding"], self.core["stride"]
        for ky, kx in np.ndindex(*self.kernel):
            row, column = y + pad_y - ky, x + pad_x - kx
            if row % step_y or column % step_x or row < 0 or column < 0:
                continue
            row, column = row // step_y, column // step_x
            if row >= self.potentials.shape[1] or column >= self.potentials.shape[2]:
                continue
            at = self.potentials[:, row, column]
            at[:] = np.maximum(at + self.core["weights"][:, p, ky, kx], low)
            if self.core["readout"] == "spikes":
                fired[:, row, column] = at >= high
        if not fired.any():
            return []
        self.potentials[fired] -= 0 if self.core["return_to_zero"] else high
        if self.core["return_to_zero"]:
            self.potentials[fired] = 0
        return sorted(
            map(tuple, np.argwhere(fired).tolist()),
            key=lambda spike: (-spike[1], -spike[2], spike[0]),
        )


class Server:
    """A core that takes events one by one; `room` may wait, None for any number."""

    def __init__(self, room):
        self.room, self.gone, self.sent = room, [], []
        self.busy = self.longest_wait = self.stalled = self.input_wait = 0.0

    def is_full(self, ready):
        """Return whether an event that is ready finds no room."""
        return len(self.gone) > self.room and self.gone[-self.room - 1] > ready

    def enter(self, ready):
        """Return when an event that is ready finds room."""
        self.sent.append(ready)
        if self.room is None or len(self.gone) <= self.room:
            return ready
        return max(ready, self.gone[-self.room - 1])

    def work(self, entered, work):
        """Return when an event is done that entered and takes so much work."""
        begins = max(entered, self.gone[-1] if self.gone else entered)
        self.longest_wait = max(self.longest_wait, begins - self.sent[-1])
        self.busy += work
        return begins + work

    @property
    def span(self):
        """µs from the first event to the end of the work."""
        return max(self.gone[-1], self.sent[-1]) - self.sent[0] if self.sent else 0.0

    @property
    def backlog(self):
        """µs that it still works after the last event came."""
        return max(self.gone[-1] - self.sent[-1], 0.0) if self.sent else 0.0

    @property
    def utilisation(self):
        """Share of the span in which it works."""
        return self.busy / self.span if self.span else 0.0


@dataclass
class Play:
    """What a sample did on two cores: spikes (t, p, y, x) of each, inputs of the second, losses."""

    spikes: tuple = field(default_factory=lambda: ([], []))
    arrived: list = field(default_factory=list)  # (t, y, x) at the second core
    potentials: np.ndarray | None = None  # of the second core, at the end
    lost: int = 0


def play(program, events, rate=None):
    """Return what a sample does on the first two cores of a chain.

    Args:
        program: as `by_hand.read_program` returns it.
        events: structured array of t, x, y, p in the order of time.
        rate: neurons that a core updates per second, where an input event is lost that finds no
            room; None for cores that take no time, whose spikes have the time of their cause.
    """
    first, second = (Neurons(core) for core in program["cores"])
    fans = [fan_out(core) * 1e6 / (rate or np.inf) for core in program["cores"]]
    servers = Server(ROOM), Server(ROOM)
    pooling = program["cores"][0]["destinations"][0]["pooling"]
    _, height, width = program["cores"][1]["input_shape"]
    found = Play()
    for t, p, y, x in zip(*(events[name].tolist() for name in "tpyx"), strict=True):
        if rate and servers[0].is_full(t):
            found.lost += 1
            continue
        done = leaves = servers[0].work(servers[0].enter(t), fans[0][y, x])
        for spike in first.take(p, y, x):
            found.spikes[0].append((int(done) if rate else t, *spike))
            place = (spike[0], spike[1] // pooling, spike[2] // pooling)
            if place[1] >= height or place[2] >= width:
                continue
            leaves = servers[1].enter(leaves)
            through = servers[1].work(leaves, fans[1][place[1:]])
            servers[1].gone.append(through)
            found.arrived.append((t, *place[1:]))
            sent = second.take(*place)
            found.spikes[1].extend((int(through) if rate else t, *one) for one in sent)
        servers[0].gone.append(leaves)
    found.potentials = second.potentials
    return found


class Plays:
    """What all samples do, each played once at every rate."""

    def __init__(self, program, inputs):
        self.program, self.inputs, self.found = program, inputs, {}

    def at(self, rate=None):
        """Return the `Play` of each sample."""
        if rate not in self.found:
            self.found[rate] = [play(self.program, events, rate) for events in self.inputs]
        return self.found[rate]
