"""A network of servers with little room, simulated in the order of time.

Nothing is looked ahead: a heap of moments at which something may happen, and at each of them all
that can move, moves. Spikes and neurons are no part of it: an event on a channel always makes
the same spikes.
"""

import heapq
from dataclasses import dataclass, field


@dataclass(eq=False)
class Server:
    """One core: what each channel makes it send, and how it takes events.

    Args:
        fires: for each input channel, the output channels that fire on it.
        work: µs for an event.
        room: events that may wait; None for any number.
        drops: turn events away instead of holding up their sender.
        targets: (server, shift) to which each spike goes, one after another.
    """

    fires: list
    work: float
    room: int | None
    drops: bool
    targets: list
    waiting: list = field(default_factory=list)
    job: "Job | None" = None
    outbox: list = field(default_factory=list)
    done: float = 0.0
    n_arrived: int = 0
    n_dropped: int = 0
    n_gone: int = 0
    n_begun: int = 0
    busy: float = 0.0
    stalled: float = 0.0
    longest_wait: float = 0.0
    input_wait: float = 0.0
    first: float | None = None
    last: float = 0.0
    free: float = 0.0


@dataclass(eq=False)
class Job:
    """One event on its way to a server.

    Args:
        server: where it goes.
        channel: on which it arrives there.
        number: its place in the depth-first order of that server's events.
        ready: when it was made.
        refused: when it first found no room; None if it never did.
        children: what it will cause.
    """

    server: Server
    channel: int
    number: int
    ready: float = 0.0
    refused: float | None = None
    children: list = field(default_factory=list)


class Stalls:
    """The input, the servers behind it, and the time."""

    def __init__(self, servers, input_targets, events):
        self.servers, self.heap = servers, []
        self.merging = any(
            sum(target is server for target, _ in all_targets) > 1
            for all_targets in [[*input_targets, *(t for s in servers for t in s.targets)]]
            for server in servers
        )
        numbers = {id(server): 0 for server in servers}
        self.input = [
            (time, [self.job(server, channel + shift, numbers) for server, shift in input_targets])
            for time, channel in events
        ]
        for time, _ in self.input:
            heapq.heappush(self.heap, time)
        self.input_outbox = []
        self.now = 0.0

    def job(self, server, channel, numbers):
        """Return an event with all that it will cause, numbered depth first."""
        job = Job(server, channel, numbers[id(server)])
        numbers[id(server)] += 1
        job.children = [
            self.job(target, out + shift, numbers)
            for out in server.fires[channel]
            for target, shift in server.targets
        ]
        return job

    def run(self):
        """Let the time pass until nothing is left to happen."""
        while self.heap:
            self.now = heapq.heappop(self.heap)
            while self.anything_moves() or self.a_balancer_decides():
                pass
        assert not self.input
        assert not self.input_outbox
        assert not any(server.waiting or server.job for server in self.servers)

    def anything_moves(self):
        """Move the first thing that can move without a balancer's decision."""
        if self.input and not self.input_outbox and self.input[0][0] <= self.now:
            time, self.input_outbox = self.input.pop(0)
            for job in self.input_outbox:
                job.ready = time
            return True
        if self.enters(self.input_outbox, None):
            return True
        return any(self.server_moves(server) for server in self.servers)

    def server_moves(self, server):
        """Let one server finish its work, send, be free or begin."""
        job = server.job
        if job is not None and job.children and server.done <= self.now:
            server.outbox, job.children = job.children, []
            for child in server.outbox:
                child.ready = server.done
            return True
        if self.enters(server.outbox, server):
            return True
        if job is not None and server.done <= self.now and not server.outbox:
            server.stalled += self.now - server.done
            server.job, server.free = None, self.now
            server.n_gone += 1
            return True
        if server.job is None:
            return self.begins(server)
        return False

    def begins(self, server):
        """Let a free server take its next event, if that has come."""
        following = [job for job in server.waiting if not self.is_early(job)]
        if not following:
            return False
        server.job = following[0]
        server.waiting.remove(server.job)
        server.n_begun += 1
        server.longest_wait = max(server.longest_wait, self.now - server.job.ready)
        server.busy += server.work
        server.done = self.now + server.work
        heapq.heappush(self.heap, server.done)
        return True

    def is_early(self, job):
        """Whether an event that comes before it in the depth-first order is still to come."""
        return self.merging and job.number > job.server.n_begun

    def has_room(self, job):
        """Whether an event finds room, with those before it that are not gone."""
        server = job.server
        before = len(server.waiting) + (server.job is not None)
        if self.merging:
            before = job.number - server.n_gone
        return server.room is None or before <= server.room

    def enters(self, outbox, sender):
        """Let the next of a sender's events enter, if no balancer is asked and there is room."""
        if not outbox or outbox[0].server.drops:
            return False
        if not self.has_room(outbox[0]):
            outbox[0].refused = self.now if outbox[0].refused is None else outbox[0].refused
            return False
        self.takes(outbox.pop(0), sender)
        return True

    def takes(self, job, sender):
        """Let an event enter."""
        self.counts(job)
        job.server.waiting.append(job)
        if sender is None and job.refused is not None and job.refused < self.now:
            wait = self.now - job.ready
            job.server.input_wait = max(job.server.input_wait, wait)

    def counts(self, job):
        server = job.server
        server.n_arrived += 1
        server.first = job.ready if server.first is None else min(server.first, job.ready)
        server.last = max(server.last, job.ready)

    def a_balancer_decides(self):
        """Let the last balancer before which an event stands take it or turn it away."""
        senders = [(None, self.input_outbox), *((s, s.outbox) for s in self.servers)]
        asked = [
            (sender, outbox) for sender, outbox in senders if outbox and outbox[0].server.drops
        ]
        if not asked:
            return False
        sender, outbox = max(asked, key=lambda pair: self.servers.index(pair[1][0].server))
        job = outbox.pop(0)
        if self.has_room(job):
            self.takes(job, sender)
        else:
            self.counts(job)
            job.server.n_dropped += 1
        return True

    def load(self, server):
        """Return what the twin should say of a server, by name."""
        end = max(server.free, server.last)
        return {
            "events": server.n_arrived,
            "dropped": server.n_dropped,
            "busy": server.busy,
            "span": 0.0 if server.first is None else end - server.first,
            "longest_wait": server.longest_wait,
            "backlog": 0.0 if server.first is None else end - server.last,
            "stalled": server.stalled,
            "input_wait": server.input_wait,
        }
