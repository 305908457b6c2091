"""Faults on demand: each kind happens at its rate, repeats with its seed, and is counted."""

import math
import time

import numpy as np
import pytest
from virtual_boards import TIMEOUT, configuration_of, opened, single_core, square_chain

from speckflex.errors import BoardError
from speckflex.virtual import Faults


def test_an_unplugged_device_stops_answering_and_leaves_the_bus():
    with opened(configuration_of(single_core()), faults=Faults(unplug_after=3)) as bench:
        spike = bench.chip.event.Spike()
        assert len(bench.ask([spike] * 10, 3)) == 3
        assert bench.handle.unplugged
        assert bench.sink.get_events_blocking(timeout_ms=100) == []
        with pytest.raises(RuntimeError, match="unplugged"):
            bench.handle.get_stop_watch()
        with pytest.raises(RuntimeError, match="unplugged"):
            bench.model.apply_configuration(configuration_of(single_core()))
        assert bench.info not in bench.samna.device.get_all_devices()
        with pytest.raises(RuntimeError, match="not attached"):
            bench.samna.device.open_device(bench.info)


def test_delayed_answers_come_late_and_complete():
    with opened(configuration_of(single_core()), faults=Faults(delay=0.2)) as bench:
        started = time.monotonic()
        answers = bench.ask([bench.chip.event.Spike()] * 5, 5)
        assert len(answers) == 5
        assert 0.2 <= time.monotonic() - started < TIMEOUT


@pytest.mark.parametrize(("fault", "factor"), [("drop", -1), ("duplicate", 1)])
def test_a_share_of_the_output_is_dropped_or_doubled(fault, factor):
    n = 2000
    with opened(configuration_of(single_core()), faults=Faults(**{fault: 0.25})) as bench:
        bench.source.write([bench.chip.event.Spike()] * n)
        deadline = time.monotonic() + TIMEOUT
        answers = []
        while not answers or time.monotonic() < deadline:
            more = bench.sink.get_events_blocking(timeout_ms=300)
            answers += more
            if answers and not more:
                break
        losses = bench.handle.losses
    changed = losses.dropped if fault == "drop" else losses.duplicated
    assert len(answers) == n + factor * changed
    # five standard deviations of a binomial distribution
    assert abs(changed - n / 4) < 5 * math.sqrt(n * 0.25 * 0.75)


def test_the_same_seed_drops_the_same_events():
    kept = []
    for seed in (1, 1, 2):
        faults = Faults(drop=0.5, seed=seed)
        with opened(configuration_of(single_core()), faults=faults) as bench:
            bench.handle.get_stop_watch().start()
            spikes = [bench.chip.event.Spike(timestamp=t) for t in range(1, 200)]
            answers = bench.ask(spikes, 200 - 1 - 150)
            time.sleep(0.2)
            kept.append([e.timestamp for e in answers + bench.sink.get_events()])
    assert kept[0] == kept[1] != kept[2]


def test_a_refused_configuration_is_accepted_the_next_time():
    configuration = configuration_of(single_core())
    with opened(faults=Faults(refuse_configuration=1)) as bench:
        with pytest.raises(RuntimeError, match="refused the configuration"):
            bench.model.apply_configuration(configuration)
        bench.model.apply_configuration(configuration)
        assert len(bench.ask([bench.chip.event.Spike()], 1)) == 1


def test_a_stuck_core_and_the_cores_behind_it_are_silent():
    program = square_chain(np.random.default_rng(1), n_cores=3)
    with opened(configuration_of(program), faults=Faults(stuck_core=1)) as bench:
        rng = np.random.default_rng(2)
        _, height, width = program.input.shape
        kind = bench.chip.event.Spike
        events = [
            kind(
                feature=int(rng.integers(2)),
                y=int(rng.integers(height)),
                x=int(rng.integers(width)),
            )
            for _ in range(300)
        ]
        assert {spike.layer for spike in bench.play(events)} == {0}


@pytest.mark.parametrize(
    ("values", "message"),
    [({"drop": 1.5}, "share of 0..1"), ({"delay": -1.0}, "delay is -1.0"), ({"seed": -1}, "seed")],
)
def test_impossible_faults_are_refused(values, message):
    with pytest.raises(BoardError, match=message):
        Faults(**values)


def test_a_device_with_a_full_queue_closes_at_once():
    program = square_chain(np.random.default_rng(1), n_cores=3)
    with opened(configuration_of(program)) as bench:
        bench.source.write([bench.chip.event.Spike()] * 200_000)
        bench.sink.get_events_blocking(timeout_ms=1000 * TIMEOUT)
        started = time.monotonic()
        bench.samna.device.close_device(bench.handle)
        assert time.monotonic() - started < TIMEOUT / 4
