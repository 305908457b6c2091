"""Cores that feed each other in a circle run, and an event that never rests is given up."""

import numpy as np
import pytest
from virtual_boards import as_rows, empty_configuration, opened, write_core

from speckflex.program.records import Core, Destination
from speckflex.virtual import _runners


def square_core(rng, index, destinations=(), **changes):
    """Return a core of 2 features on 4 x 4 pixels, 3 x 3 taps, that keeps the map's size."""
    values = {
        "name": f"core {index}",
        "weights": rng.integers(-60, 55, (2, 2, 3, 3)),
        "threshold_high": 120,
        "threshold_low": -40,
        "input_shape": (2, 4, 4),
        "padding": (1, 1),
        "destinations": destinations,
        "chip_core": index,
    }
    return Core(**(values | changes))


def configuration_of_cores(*cores):
    """Return a configuration in which destination i of a core is core i of the chip."""
    configuration = empty_configuration()
    for core in cores:
        layer = configuration.cnn_layers[core.chip_core]
        write_core(layer, core, range(9))
        layer.monitor_enable = True
    return configuration


def slow_spikes(cores, events):
    """Return (core, x, y, feature) of all spikes, by a loop over every neuron of every event.

    Each event is followed to its end, the oldest waiting event first.
    """
    by_number = {core.chip_core: core for core in cores}
    states = {core.chip_core: np.zeros(core.output_shape, int) for core in cores}
    found = []
    for event in events:
        waiting = [event]
        while waiting:
            number, x, y, feature = waiting.pop(0)
            core, state = by_number[number], states[number]
            for place, out in np.ndindex(16, 2):
                # from the last row and column to the first
                row, column = divmod(15 - place, 4)
                ky, kx = y + 1 - row, x + 1 - column
                if not (0 <= ky < 3 and 0 <= kx < 3):
                    continue
                value = max(
                    state[out, row, column] + int(core.weights[out, feature, ky, kx]),
                    core.threshold_low,
                )
                fires = value >= core.threshold_high
                state[out, row, column] = value - core.threshold_high * fires
                if fires:
                    found.append((number, column, row, out))
                    waiting += [
                        (target.core, column, row, out + target.feature_shift)
                        for target in core.destinations
                    ]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_two_cores_in_a_circle_spike_like_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    cores = (
        square_core(
            rng,
            3,
            (Destination(4),),
            input_shape=(3, 4, 4),
            weights=rng.integers(-60, 50, (2, 3, 3, 3)),
        ),
        square_core(rng, 4, (Destination(3, feature_shift=1), Destination(4))),
    )
    events = [(3, *(int(v) for v in rng.integers(0, (4, 4, 3)))) for _ in range(150)]
    expected = slow_spikes(cores, events)
    assert {core for core, *_ in expected} == {3, 4}
    with opened(configuration_of_cores(*cores)) as bench:
        kind = bench.chip.event.Spike
        played = bench.play([kind(layer=layer, x=x, y=y, feature=p) for layer, x, y, p in events])
    for core in (3, 4):
        found = [(e.layer, e.x, e.y, e.feature) for e in played if e.layer == core]
        assert found == [row for row in expected if row[0] == core]
    assert bench.handle.losses.circulating == 0


def test_an_event_that_never_rests_is_given_up_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(_runners, "MAX_CIRCULATING", 50)
    ring = square_core(
        np.random.default_rng(0),
        3,
        (Destination(3),),
        weights=np.eye(2, dtype=int)[:, :, None, None] * 120,
        padding=(0, 0),
    )
    with opened(configuration_of_cores(ring)) as bench:
        spikes = bench.play([bench.chip.event.Spike(layer=3)])
        assert len(spikes) == 51
        assert bench.handle.losses.circulating > 0
        assert "never falls silent" in caplog.text
        # the board answers on
        assert len(bench.play([bench.chip.event.Spike(layer=3, x=2)])) == 51


def test_sensor_events_enter_a_circle_through_the_dvs_layer():
    echo = square_core(
        np.random.default_rng(0),
        3,
        (Destination(3, feature_shift=1),),
        weights=np.eye(2, 3, dtype=int)[:, :, None, None] * 120,
        input_shape=(3, 4, 4),
        padding=(0, 0),
    )
    configuration = configuration_of_cores(echo)
    dvs = configuration.dvs_layer
    dvs.cut = {"x": 3, "y": 3}
    dvs.destinations[0].enable, dvs.destinations[0].layer = True, 3
    with opened(configuration) as bench:
        kind = bench.chip.event.DvsEvent
        spikes = bench.play([kind(x=1, y=2, p=False, timestamp=7), kind(x=9, y=2, timestamp=9)])
    # feature 0 comes back as feature 1, and that as feature 2, which has no weights
    assert as_rows(spikes, 3) == [(7, 1, 2, 0), (7, 1, 2, 1)]


def test_written_weights_keep_the_potentials_of_a_circle():
    ring = square_core(np.random.default_rng(0), 3, (Destination(3),))
    with opened(configuration_of_cores(ring)) as bench:
        event = bench.chip.event
        write = event.WriteNeuronValue(layer=3, address=0, neuron_state=77)
        read = event.ReadNeuronValue(layer=3, address=0)
        weight = event.WriteWeightValue(layer=3, address=0, weight=5)
        assert bench.ask([write, weight, read], 1)[0].neuron_state == 77
        assert bench.model.get_configuration().cnn_layers[3].weights[0][0][0][0] != 5
