"""Full cores hold up their senders: by hand, and against a simulation in the order of time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stalls import Server, Stalls

from speckflex.boards.twin import Twin
from speckflex.errors import BoardError
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import TwinSettings

THRESHOLD = 50


def core(name, fires, n_out, targets=(), **changes):
    """Return a core of one pixel: on each input channel, the given output channels fire, always."""
    weights = np.zeros((n_out, len(fires), 1, 1), np.int8)
    for channel, outs in enumerate(fires):
        weights[outs, channel] = THRESHOLD
    destinations = tuple(Destination(target, 1, shift) for target, shift in targets)
    shape = (len(fires), 1, 1)
    return Core(name, weights, THRESHOLD, -THRESHOLD, shape, destinations=destinations, **changes)


def program_of(cores, targets=((0, 0),), n_channels=1):
    destinations = tuple(Destination(target, 1, shift) for target, shift in targets)
    return Program(tuple(cores), InputStage((n_channels, 1, 1), destinations), chip="unbounded")


def events_at(times, channels=None):
    zeros = np.zeros(len(times), np.int64)
    channels = zeros if channels is None else np.array(channels)
    return make_events(np.array(times, np.int64), zeros, zeros, channels)


def loads_of(program, events, **chosen):
    """Play at one neuron a microsecond and return the loads, by core's name."""
    with Twin(threads=1, settings=TwinSettings(synops_per_second=1e6, **chosen)) as twin:
        twin.load(program)
        twin.play(events)
        return {load.name: load for load in twin.loads[0]}


def fast_before_slow():
    """1 µs before 10 µs: every event passes the first core and is worked on by the second."""
    slow = core("slow", [[]], 10)
    return program_of([core("fast", [[0]], 1, [(1, 0)]), slow])


def test_a_fast_core_waits_for_room_in_a_slow_one():
    # one place to wait: the third spike is done at 3 and enters when the first is gone, at 11;
    # the fourth is done at 12 and enters at 21, the fifth at 22 and enters at 31
    loads = loads_of(fast_before_slow(), events_at([0] * 5), input_buffer=1)
    assert loads["fast"].stalled == (11 - 3) + (21 - 12) + (31 - 22)
    assert loads["fast"].longest_wait == 21
    # the fifth event enters when the third leaves the first core, which the second held up
    assert loads["fast"].input_wait == 11
    assert loads["slow"].longest_wait == 41 - 22
    assert loads["slow"].span == 51 - 1
    assert (loads["slow"].stalled, loads["slow"].input_wait) == (0, 0)


def test_without_a_place_to_wait_cores_hand_over():
    # the second spike is done at 2 and enters at 11, the third at 12 and enters at 21
    loads = loads_of(fast_before_slow(), events_at([0] * 3), input_buffer=0)
    assert loads["fast"].stalled == (11 - 2) + (21 - 12)
    assert loads["slow"].longest_wait == 9
    assert loads["slow"].span == 31 - 1


def test_with_any_number_of_places_nothing_stalls():
    loads = loads_of(fast_before_slow(), events_at([0] * 50), input_buffer=None)
    assert (loads["fast"].stalled, loads["fast"].input_wait) == (0, 0)
    assert loads["slow"].longest_wait == 1 + 49 * 10 - 50


def test_a_stall_goes_back_to_the_input():
    chain = program_of(
        [
            core("first", [[0]], 1, [(1, 0)]),
            core("second", [[0]], 1, [(2, 0)]),
            core("slow", [[]], 100),
        ]
    )
    loads = loads_of(chain, events_at(range(10)), input_buffer=0)
    # each core holds one event: the n-th leaves the last one at 2 + 100 n, and the last of ten
    # enters the first core when the seventh, two events before it, leaves the second for the last
    assert loads["slow"].span == 1000
    assert loads["first"].input_wait == (2 + 100 * 7) - 9
    assert loads["second"].stalled > loads["first"].stalled > 0


def test_the_first_of_two_destinations_holds_up_the_second():
    fork = program_of(
        [
            core("fork", [[0]], 1, [(1, 0), (2, 0)]),
            core("slow", [[]], 10),
            core("quick", [[]], 1),
        ]
    )
    loads = loads_of(fork, events_at([0, 0]), input_buffer=0)
    # the second spike is done at 2 but enters the slow core at 11, and then the quick one
    assert loads["quick"].span == 12 - 1
    assert loads["fork"].stalled == 9
    turned = loads_of(fork, events_at([0, 0]), input_buffer=0, destination_order="reversed")
    assert turned["quick"].span == 3 - 1
    assert turned["fork"].stalled == 9


def test_a_stall_makes_an_earlier_balancer_drop():
    first = core("first", [[0]], 1, [(1, 0)], congestion_balancer=True)
    program = program_of([first, core("slow", [[]], 10)])
    times = range(0, 40, 2)
    chosen = {"balancer_buffer": 0}
    assert loads_of(program, events_at(times), **chosen, input_buffer=None)["first"].dropped == 0
    held = loads_of(program, events_at(times), **chosen, input_buffer=0)["first"]
    # the event of 0 is done at 1; that of 2 at 3, and stands in the core until 11; 4 to 10 are
    # turned away, that of 12 is taken, done at 13 and stands until 21; so are those of 22 and 32
    assert held.dropped == 20 - 5
    assert held.stalled == (11 - 3) + (21 - 13) + (31 - 23) + (41 - 33)


def test_a_spike_of_a_tick_leaves_when_its_core_is_done():
    ticking = replace(core("ticking", [[0]], 5, [(1, 0)]), bias=np.full(5, THRESHOLD))
    after = core("after", [[]] * 5, 1)
    settings = {"slow_clock_period": 10, "leak_spikes": "at tick"}
    loads = loads_of(program_of([ticking, after]), events_at([9, 10]), **settings)
    # the event of 9 keeps the core busy until 14, then it and the five spikes of the tick at 10
    assert loads["after"].events == 7
    assert loads["after"].longest_wait == pytest.approx(14 + 6 - 1 + 1 - 10 - 1)


def test_what_goes_nowhere_takes_no_time_and_no_room():
    program = program_of([core("layer", [[]], 10)])
    stage = InputStage((1, 1, 2), size=(1, 1))
    program = replace(program, input=stage)
    zeros = np.zeros(6, np.int64)
    events = make_events(zeros, np.array([1, 1, 1, 0, 1, 0]), zeros, zeros)
    load = loads_of(program, events, input_buffer=0)["layer"]
    assert (load.events, load.longest_wait) == (2, 10)


def test_a_full_log_changes_nothing(rng, monkeypatch):
    program = program_of(
        [
            core("fork", [[0, 1], [1]], 2, [(1, 0), (2, 0)]),
            core("middle", [[0], [0, 1]], 2, [(2, 1)]),
            core("merge", [[0]] * 3, 1),
        ],
        n_channels=2,
    )
    events = events_at(np.arange(200), rng.integers(0, 2, 200))
    with Twin() as twin:
        twin.load(program)
        expected = twin.play(events)
    monkeypatch.setattr("speckflex.twin.service.SPIKES_PER_CALL", 3)
    with Twin(settings=TwinSettings(synops_per_second=1e6)) as twin:
        twin.load(program)
        found = twin.play(events)
    assert sum(len(expected.events(layer)) for layer in range(3)) > 1000
    for layer in range(3):
        assert np.array_equal(found.events(layer), expected.events(layer))
        assert np.array_equal(found.counts(layer), expected.counts(layer))


def test_a_stream_in_blocks_stalls_as_the_whole(rng):
    events = events_at(np.sort(rng.integers(0, 100_000, 20_000)))
    with Twin(settings=TwinSettings(synops_per_second=1e6)) as twin:
        twin.load(fast_before_slow())
        twin.play(events)
        whole = twin.loads
        twin.play_stream(np.array_split(events, 7))
        assert twin.loads == whole
        assert whole[0][0].stalled > 0


@st.composite
def networks(draw, *, merges):
    """Return servers, what the input sends to, and programs of the same network."""
    n_cores = draw(st.integers(1, 4))
    n_outs = [draw(st.integers(1, 3)) for _ in range(n_cores)]
    widths = [1] * n_cores
    targets = {sender: [] for sender in range(-1, n_cores)}
    for index in range(n_cores):
        senders = st.integers(-1, index - 1)
        chosen = draw(st.lists(senders, min_size=1, max_size=3)) if merges else [draw(senders)]
        for sender in chosen:
            shift = draw(st.integers(0, 1))
            targets[sender].append((index, shift))
            n_channels = 2 if sender < 0 else n_outs[sender]
            widths[index] = max(widths[index], n_channels + shift)
    outs = [st.lists(st.integers(0, n - 1), max_size=2, unique=True).map(sorted) for n in n_outs]
    fires = [[draw(outs[index]) for _ in range(widths[index])] for index in range(n_cores)]
    return n_outs, fires, targets


def build(network, drops, chosen):
    """Return a network as a program, and as servers."""
    n_outs, fires, targets = network
    n_cores = len(n_outs)
    program = program_of(
        [
            core(f"{i}", fires[i], n_outs[i], targets[i], congestion_balancer=drops[i])
            for i in range(n_cores)
        ],
        targets[-1],
        n_channels=2,
    )
    servers = [
        Server(
            fires[i],
            float(n_outs[i]),
            chosen["balancer_buffer"] if drops[i] else chosen["input_buffer"],
            drops[i],
            [],
        )
        for i in range(n_cores)
    ]
    for i, server in enumerate(servers):
        server.targets = [(servers[target], shift) for target, shift in targets[i]]
    return program, servers, [(servers[target], shift) for target, shift in targets[-1]]


def assert_loads_are_those_in_the_order_of_time(network, drops, chosen, events):
    program, servers, input_targets = build(network, drops, chosen)
    simulation = Stalls(servers, input_targets, events)
    simulation.run()
    times, channels = [time for time, _ in events], [channel for _, channel in events]
    loads = loads_of(program, events_at(times, channels), **chosen)
    for index, server in enumerate(servers):
        found = {name: value for name, value in vars(loads[f"{index}"]).items() if name != "name"}
        assert found == simulation.load(server)


ROOMS = st.fixed_dictionaries(
    {
        "input_buffer": st.one_of(st.none(), st.integers(0, 3)),
        "balancer_buffer": st.integers(0, 3),
    }
)
EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=14).map(
    lambda rows: [(sum(gap for gap, _ in rows[: i + 1]), rows[i][1]) for i in range(len(rows))]
)


@settings(max_examples=150)
@given(network=networks(merges=True), chosen=ROOMS, events=EVENTS)
def test_merges_and_splits_stall_as_in_the_order_of_time(network, chosen, events):
    drops = [False] * len(network[0])
    assert_loads_are_those_in_the_order_of_time(network, drops, chosen, events)


@settings(max_examples=150)
@given(
    network=networks(merges=False),
    chosen=ROOMS,
    events=EVENTS,
    drops=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_balancers_and_stalls_act_on_each_other_as_in_the_order_of_time(
    network, chosen, events, drops
):
    assert_loads_are_those_in_the_order_of_time(network, drops, chosen, events)


def test_overtaking_at_random_has_no_times():
    with pytest.raises(BoardError, match="overtake others at random have no times"):
        TwinSettings(synops_per_second=1e6, parallel_window=2)
