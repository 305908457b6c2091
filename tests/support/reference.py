"""The slow, obvious twin: plain Python, one event at a time, depth first.

Each spike is followed to the end of the network before the next neuron is looked at, just as
the chip's documents describe it. Nothing here is shared with the package but the Program
and the names of the settings.
"""

from itertools import product

from speckflex.twin.settings import TwinSettings

DEFAULTS = TwinSettings()
WRAP = 2**16


RATIOS = {
    "without 64": (2, 4, 8, 16, 32, 128, 256, 512),
    "with 64": (2, 4, 8, 16, 32, 64, 128, 256),
}


def walk(order, sizes):
    """Yield all positions of a map, as dictionaries, in an order such as "-y-x+c".

    Args:
        order: sign and axis, from the outer loop to the inner one.
        sizes: of "c", "y" and "x".
    """
    outer, middle, inner = order[1], order[3], order[5]
    for first in places(order[0], sizes[outer]):
        for second in places(order[2], sizes[middle]):
            for third in places(order[4], sizes[inner]):
                yield {outer: first, middle: second, inner: third}


def served(destinations, order):
    """Return the destinations of a spike in the order in which they get it."""
    if order == "reversed":
        return list(destinations)[::-1]
    if order == "lower feature first":
        return sorted(destinations, key=lambda destination: destination.feature_shift)
    if order == "higher feature first":
        return sorted(destinations, key=lambda destination: -destination.feature_shift)
    return list(destinations)


def places(sign, size):
    """Return the places of one axis, from the first to the last for "+", else from the last."""
    rising = list(range(size))
    return rising if sign == "+" else rising[::-1]


class ReferenceTwin:
    """Plays events through a program and keeps every layer's spikes in order."""

    def __init__(self, program, settings=DEFAULTS):
        self.program = program
        self.settings = settings
        self.reset()

    def reset(self):
        """Set every neuron to its initial state and forget all spikes."""
        self.potentials = []
        for core in self.program.cores:
            addresses = product(*(range(size) for size in core.output_shape))
            initial = core.initial_state
            self.potentials.append(
                {address: 0 if initial is None else int(initial[address]) for address in addresses}
            )
        self.spikes = [[] for _ in self.program.cores]
        self.sent = [0 for _ in self.program.cores]
        self.withheld = [None for _ in self.program.cores]

    def play(self, events):
        """Play one sample of events (t, x, y, p)."""
        self.n_ticks = 0
        self.passed = []
        latest = 0
        for index, (t, x, y, p) in enumerate(events.tolist()):
            latest = max(latest, t)
            self.now = self.ticks(latest, index)
            while self.n_ticks < self.now:
                self.n_ticks += 1
                self.leak(latest)
            entered = self.enter(p, y, x)
            if entered is not None:
                self.forward(self.program.input, t, *entered)

    def ticks(self, t, index):
        """Return how often the slow clock has ticked."""
        settings = self.settings
        if settings.slow_clock_divider is not None:
            return index // 2**settings.slow_clock_divider
        if settings.slow_clock_period is not None:
            n_ticks = 0
            while settings.slow_clock_phase + (n_ticks + 1) * settings.slow_clock_period <= t:
                n_ticks += 1
            return n_ticks
        return 0

    def leak(self, t):
        """Let the slow clock tick once."""
        fired = []
        for index, core in enumerate(self.program.cores):
            if core.bias is None:
                continue
            if core.chip_core in (0, 1) and self.settings.leak_cores_01 == "none":
                continue
            for neuron, before in self.potentials[index].items():
                v = max(before + int(core.bias[neuron[0]]), core.threshold_low)
                v = min(v, WRAP // 2 - 1)
                if self.settings.leak_spikes == "at tick" and v >= core.threshold_high:
                    v = 0 if core.return_to_zero else v - core.threshold_high
                    fired.append((index, neuron))
                self.potentials[index][neuron] = v
        for index in range(len(self.program.cores)):
            sizes = dict(zip("cyx", self.program.cores[index].output_shape, strict=True))
            for place in walk(self.settings.output_order, sizes):
                if (index, (place["c"], place["y"], place["x"])) in fired:
                    self.emit(index, t, place["c"], place["y"], place["x"])

    def enter(self, channel, y, x):
        """Return (channel, y, x) of one event behind the input stage; None if it ends there."""
        stage = self.program.input
        if (channel == 0 and not stage.keep_off) or (channel == 1 and not stage.keep_on):
            return None
        alone = stage.shape[0] > 1 and stage.keep_off != stage.keep_on
        if stage.merge_polarities:
            channel = self.settings.merge_feature
        elif alone and self.settings.single_polarity_feature in (0, 1):
            channel = self.settings.single_polarity_feature
        y, x = y // stage.pooling[0], x // stage.pooling[1]
        if self.settings.mirror_frame == "sensor":
            whole = (stage.shape[1] // stage.pooling[0], stage.shape[2] // stage.pooling[1])
            y, x = self.mirror(y, x, *whole)
        y, x = y - stage.origin[0], x - stage.origin[1]
        height, width = stage.region
        if not (0 <= y < height and 0 <= x < width):
            return None
        if self.settings.mirror_frame == "region":
            y, x = self.mirror(y, x, height, width)
        if stage.swap_xy:
            y, x = x, y
        return (channel, y, x) if self.passes_filter(y, x) else None

    def mirror(self, y, x, height, width):
        """Flip an address inside a frame."""
        stage = self.program.input
        return (
            height - 1 - y if stage.mirror_y else y,
            width - 1 - x if stage.mirror_x else x,
        )

    def passes_filter(self, y, x):
        """Ask the whole history whether the event has company."""
        rule = self.program.input.event_filter
        if rule is None:
            return True
        recent = [
            (y - earlier_y, x - earlier_x)
            for tick, earlier_y, earlier_x in self.passed
            if self.now - tick <= rule.window
        ]
        self.passed.append((self.now, y, x))
        if rule.mode == "low pass":
            return (0, 0) not in recent
        near = [
            (dy, dx) for dy, dx in recent if abs(dy) <= rule.size[0] and abs(dx) <= rule.size[1]
        ]
        if rule.mode == "noise and hot pixels":
            near = [offset for offset in near if offset != (0, 0)]
        return bool(near)

    def emit(self, index, t, channel, y, x):
        """Let one neuron's spike leave its core: monitor, decimator, destinations."""
        core = self.program.cores[index]
        if core.chip_core in (0, 1) and self.settings.withheld_spike == "last":
            leaving, self.withheld[index] = self.withheld[index], (channel, y, x)
            if leaving is None:
                return
            channel, y, x = leaving
        table = RATIOS[self.settings.decimator_table]
        ratio = 1 if core.decimator_interval is None else table[core.decimator_interval]
        self.sent[index] += 1
        place = ratio if self.settings.decimator_passes == "last" else 1
        passes = self.sent[index] % ratio == place % ratio
        if passes or self.settings.decimator_monitor == "before":
            self.spikes[index].append((t, x, y, channel))
        if passes:
            self.forward(core, t, channel, y, x)

    def forward(self, sender, t, channel, y, x):
        """Send one spike to every destination of its sender."""
        destinations = served(sender.destinations, self.settings.destination_order)
        _, height, width = sender.output_shape
        for destination in destinations:
            p = destination.pooling
            inside = y // p < height // p and x // p < width // p
            feature = channel + destination.feature_shift
            if (inside or self.settings.edge_spikes == "keep") and self.has(destination, feature):
                self.arrive(destination.core, t, feature, y // p, x // p)

    def has(self, destination, channel):
        """Return whether the layer at a destination has an input channel."""
        return channel < self.program.cores[destination.core].input_shape[0]

    def arrive(self, index, t, channel, y, x):
        """Let one event arrive at a core: update each neuron whose field holds it."""
        core = self.program.cores[index]
        _, _, kernel_y, kernel_x = core.weights.shape
        sizes = dict(zip("cyx", core.output_shape, strict=True))
        for neuron in walk(self.settings.output_order, sizes):
            out, row, column = neuron["c"], neuron["y"], neuron["x"]
            tap_y = y + core.padding[0] - row * core.stride[0]
            tap_x = x + core.padding[1] - column * core.stride[1]
            if 0 <= tap_y < kernel_y and 0 <= tap_x < kernel_x:
                weight = int(core.weights[out, channel, tap_y, tap_x])
                if self.update(core, self.potentials[index], (out, row, column), weight):
                    self.emit(index, t, out, row, column)

    def update(self, core, potentials, neuron, weight):
        """Add one weight to one neuron and say whether it fires."""
        v = potentials[neuron] + weight
        cuts_last = self.settings.overflow == "compare before cutting to 16 bits"
        if v > WRAP // 2 - 1 and not cuts_last:
            v = v - WRAP if self.settings.overflow == "wrap" else WRAP // 2 - 1
        v = max(v, core.threshold_low)
        fires = v >= core.threshold_high
        if fires:
            v = 0 if core.return_to_zero else v - core.threshold_high
        potentials[neuron] = min(v, WRAP // 2 - 1)
        return fires
