"""The slow twin with cores that take their time, and with cores of two engines."""

from bisect import bisect_right
from dataclasses import dataclass

from reference import ReferenceTwin, served

from speckflex.twin.settings import EngineTimes


@dataclass
class Sender:
    """A core with an event in work, or the input: what it sends can leave at `clock`."""

    ready: float
    clock: float
    core: int | None = None


@dataclass
class Visit:
    """One event at a core, in µs."""

    ready: float
    entered: float
    begun: float
    work: float
    held_up_input: bool


class TimedReference(ReferenceTwin):
    """Keeps the whole history of every core: when it was done with which event."""

    def play(self, events):
        """Play one sample of events (t, x, y, p)."""
        self.rate = self.settings.synops_per_second or 0.0
        n_cores = len(self.program.cores)
        self.visits = [[] for _ in range(n_cores)]
        self.gone = [[] for _ in range(n_cores)]
        self.arrivals = [[] for _ in range(n_cores)]
        self.stalled = [0.0] * n_cores
        self.silent_until = [0.0] * n_cores
        self.input_clock = 0.0
        self.senders = []
        super().play(events)

    def ticks(self, t, index):
        """Keep the time of the event, before anything else happens."""
        self.latest = float(t)
        return super().ticks(t, index)

    def forward(self, sender, t, channel, y, x):
        """Send one spike, or one event of the input, to every destination."""
        if sender is not self.program.input:
            super().forward(sender, t, channel, y, x)
            return
        own = Sender(self.latest, max(self.latest, self.input_clock))
        self.senders.append(own)
        super().forward(sender, t, channel, y, x)
        self.input_clock = self.senders.pop().clock

    def emit(self, index, t, channel, y, x):
        """Let a spike leave; one that no event made leaves when its core is silent."""
        if self.senders:
            super().emit(index, t, channel, y, x)
            return
        own = Sender(float(t), max(float(t), self.core_is_free(index)), index)
        self.senders.append(own)
        super().emit(index, t, channel, y, x)
        self.silent_until[index] = self.senders.pop().clock

    def core_is_free(self, index):
        """Return when a core is done with all it took."""
        return max([self.silent_until[index], *self.gone[index][-1:]])

    def arrive(self, index, t, channel, y, x):
        """Let an event arrive when there is room, or not at all."""
        core, sender = self.program.cores[index], self.senders[-1]
        self.arrivals[index].append(sender.ready)
        # a core is done with one event after the other, so these times ascend
        gone = self.gone[index]
        room = self.settings.input_buffer
        if core.congestion_balancer:
            room = self.settings.balancer_buffer
        n_present = len(gone) - bisect_right(gone, sender.clock)
        is_full = room is not None and n_present > room
        if is_full:
            if core.congestion_balancer:
                return
            # it enters when `room` are left
            until = gone[len(gone) - room - 1]
            if sender.core is not None:
                self.stalled[sender.core] += until - sender.clock
            sender.clock = until
        begun = max(sender.clock, self.core_is_free(index))
        work = self.neurons_of(core, y, x) * (1e6 / self.rate)
        own = Sender(begun + work, begun + work, index)
        visit = Visit(sender.ready, sender.clock, begun, work, is_full and sender.core is None)
        self.senders.append(own)
        super().arrive(index, t, channel, y, x)
        gone.append(self.senders.pop().clock)
        self.visits[index].append(visit)

    def neurons_of(self, core, y, x):
        """Return how many neurons an event updates, by asking each."""
        channels, height, width = core.output_shape
        _, _, kernel_y, kernel_x = core.weights.shape
        return channels * sum(
            0 <= y + core.padding[0] - row * core.stride[0] < kernel_y
            and 0 <= x + core.padding[1] - column * core.stride[1] < kernel_x
            for row in range(height)
            for column in range(width)
        )

    def load(self, index):
        """Return what the twin should say of a core's load, by name."""
        visits, arrivals = self.visits[index], self.arrivals[index]
        end = max([self.core_is_free(index), *arrivals])
        waits = [visit.entered - visit.ready for visit in visits if visit.held_up_input]
        return {
            "events": len(arrivals),
            "dropped": len(arrivals) - len(visits),
            "busy": sum(visit.work for visit in visits),
            "span": end - min(arrivals) if arrivals else 0.0,
            "longest_wait": max((visit.begun - visit.ready for visit in visits), default=0.0),
            "backlog": end - max(arrivals) if arrivals else 0.0,
            "stalled": self.stalled[index],
            "input_wait": max(waits, default=0.0),
        }


@dataclass
class Spike:
    """A spike on its way: where it stands depth first, and the time of what caused it."""

    path: tuple
    time: int
    moment: float
    place: tuple


class EnginesReference(ReferenceTwin):
    """Runs core after core; on chip cores 0 and 1, two engines take events in turn."""

    def play(self, events):
        """Play one sample of events (t, x, y, p)."""
        self.n_ticks, self.passed, self.lifted, latest = 0, [], None, 0
        self.taken = [0] * len(self.program.cores)
        self.finishes = [[0.0, 0.0] for _ in self.program.cores]
        waiting = []
        for index, (t, x, y, p) in enumerate(events.tolist()):
            latest = max(latest, t)
            self.now = self.ticks(latest, index)
            while self.n_ticks < self.now:
                # what came before a tick is through the network when it comes
                self.flow(self.program.input, waiting)
                waiting = []
                self.n_ticks += 1
                self.tick(latest)
            entered = self.enter(p, y, x)
            if entered is not None:
                waiting.append(Spike((index,), t, float(latest), entered))
        self.flow(self.program.input, waiting)

    def tick(self, t):
        """Leak all cores, then run what fired, core by core."""
        self.lifted = []
        self.leak(t)
        lifted, self.lifted = self.lifted, None
        for index, core in enumerate(self.program.cores):
            self.fired = [[] for _ in self.program.cores]
            self.cause = Spike((), t, float(t), ())
            for spike in lifted:
                if spike[0] == index:
                    self.emit(*spike)
            self.flow(core, self.fired[index])

    def emit(self, index, t, channel, y, x):
        """Let a spike leave; one that a tick made waits until all cores have ticked."""
        if self.lifted is None:
            super().emit(index, t, channel, y, x)
        else:
            self.lifted.append((index, t, channel, y, x))

    def forward(self, sender, t, channel, y, x):
        """Put aside what the core that is at work sends."""
        index = next(i for i, core in enumerate(self.program.cores) if core is sender)
        path = (*self.cause.path, len(self.fired[index]))
        self.fired[index].append(Spike(path, t, self.cause.moment, (channel, y, x)))

    def flow(self, sender, spikes):
        """Send spikes to the end of the network, core by core."""
        arrived = [[] for _ in self.program.cores]
        self.fired = [[] for _ in self.program.cores]
        self.spread(sender, spikes, arrived)
        for index, core in enumerate(self.program.cores):
            queue = arrived[index]
            if self.n_senders(index) > 1:
                queue.sort(key=lambda spike: spike.path)
            if self.settings.engine_times is not None and core.chip_core in (0, 1):
                self.run_in_turn(index, queue)
            else:
                for spike in queue:
                    self.run(index, spike)
            self.spread(core, self.fired[index], arrived)

    def n_senders(self, index):
        """Return how many destinations lie at a core."""
        senders = (self.program.input, *self.program.cores)
        return sum(d.core == index for sender in senders for d in sender.destinations)

    def spread(self, sender, spikes, arrived):
        """Put spikes before each destination of their sender."""
        destinations = served(sender.destinations, self.settings.destination_order)
        _, height, width = sender.output_shape
        for rank, destination in enumerate(destinations):
            p = destination.pooling
            for spike in spikes:
                c, y, x = spike.place
                inside = y // p < height // p and x // p < width // p
                inside = inside or self.settings.edge_spikes == "keep"
                if inside and self.has(destination, c + destination.feature_shift):
                    place = (c + destination.feature_shift, y // p, x // p)
                    path = (*spike.path, rank)
                    arrived[destination.core].append(Spike(path, spike.time, spike.moment, place))

    def run(self, index, spike):
        """Let one event update a core, and count the neurons it meets and those that fire."""
        self.cause = spike
        self.n_updates = self.n_fired = 0
        self.arrive(index, spike.time, *spike.place)

    def update(self, core, potentials, neuron, weight):
        """Count the update, then make it."""
        fires = super().update(core, potentials, neuron, weight)
        self.n_updates, self.n_fired = self.n_updates + 1, self.n_fired + fires
        return fires

    def run_in_turn(self, index, queue):
        """Give every second event to each engine; the engine that can begin first, begins."""
        times, finishes = self.settings.engine_times or EngineTimes(), self.finishes[index]
        lists, latest = [[], []], 0.0
        for spike in queue:
            latest = max(latest, spike.moment)
            lists[self.taken[index] % 2].append((latest, spike))
            self.taken[index] += 1
        while any(lists):
            begins = [
                (max(lists[engine][0][0], finishes[engine]), engine)
                for engine in (0, 1)
                if lists[engine]
            ]
            begun, engine = min(begins)
            _, spike = lists[engine].pop(0)
            self.run(index, spike)
            finishes[engine] = (
                begun + times.event + times.update * self.n_updates + times.spike * self.n_fired
            )
