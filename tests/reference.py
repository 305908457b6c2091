"""The slow, obvious twin: plain Python, one event at a time, depth first.

Each spike is followed to the end of the network before the next neuron is looked at, just as
the chip's documents describe it. Nothing here is shared with the package but the Program.
"""

from itertools import product

WRAP = 2**16


class ReferenceTwin:
    """Plays events through a program and keeps every layer's spikes in order."""

    def __init__(
        self,
        program,
        *,
        output_order="yxc",
        destination_order="listed",
        overflow="saturate",
        edge_spikes="drop",
    ):
        self.program = program
        self.output_order = output_order
        self.destination_order = destination_order
        self.overflow = overflow
        self.edge_spikes = edge_spikes
        self.reset()

    def reset(self):
        """Set every neuron to its initial state and forget all spikes."""
        self.potentials = []
        for core in self.program.cores:
            addresses = product(*(range(size) for size in core.output_shape))
            self.potentials.append(
                {
                    address: 0 if core.initial_state is None else int(core.initial_state[address])
                    for address in addresses
                }
            )
        self.spikes = [[] for _ in self.program.cores]

    def play(self, events):
        """Play events given as (t, x, y, p)."""
        for t, x, y, p in events.tolist():
            self.enter(t, p, y, x)

    def enter(self, t, channel, y, x):
        """Take one event through the input stage."""
        stage = self.program.input
        if (channel == 0 and not stage.keep_off) or (channel == 1 and not stage.keep_on):
            return
        if stage.merge_polarities:
            channel = 0
        y, x = y // stage.pooling[0], x // stage.pooling[1]
        y, x = y - stage.origin[0], x - stage.origin[1]
        height, width = stage.region
        if not (0 <= y < height and 0 <= x < width):
            return
        if stage.mirror_y:
            y = height - 1 - y
        if stage.mirror_x:
            x = width - 1 - x
        if stage.swap_xy:
            y, x = x, y
        self.forward(stage, t, channel, y, x)

    def forward(self, sender, t, channel, y, x):
        """Send one spike to every destination of its sender."""
        destinations = list(sender.destinations)
        if self.destination_order == "reversed":
            destinations.reverse()
        _, height, width = sender.output_shape
        for destination in destinations:
            p = destination.pooling
            inside = y // p < height // p and x // p < width // p
            if inside or self.edge_spikes == "keep":
                self.arrive(
                    destination.core, t, channel + destination.feature_shift, y // p, x // p
                )

    def arrive(self, index, t, channel, y, x):
        """Let one event arrive at a core: update each neuron whose field holds it."""
        core = self.program.cores[index]
        _, _, kernel_y, kernel_x = core.weights.shape
        n_channels, height, width = core.output_shape
        ranges = {"c": range(n_channels), "y": range(height), "x": range(width)}
        for values in product(*(ranges[axis] for axis in self.output_order)):
            neuron = dict(zip(self.output_order, values, strict=True))
            out, row, column = neuron["c"], neuron["y"], neuron["x"]
            tap_y = y + core.padding[0] - row * core.stride[0]
            tap_x = x + core.padding[1] - column * core.stride[1]
            if 0 <= tap_y < kernel_y and 0 <= tap_x < kernel_x:
                weight = int(core.weights[out, channel, tap_y, tap_x])
                if self.update(core, self.potentials[index], (out, row, column), weight):
                    self.spikes[index].append((t, column, row, out))
                    self.forward(core, t, out, row, column)

    def update(self, core, potentials, neuron, weight):
        """Add one weight to one neuron and say whether it fires."""
        v = potentials[neuron] + weight
        if v > WRAP // 2 - 1:
            v = v - WRAP if self.overflow == "wrap" else WRAP // 2 - 1
        v = max(v, core.threshold_low)
        fires = v >= core.threshold_high
        if fires:
            v = 0 if core.return_to_zero else v - core.threshold_high
        potentials[neuron] = v
        return fires
