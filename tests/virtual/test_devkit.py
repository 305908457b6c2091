"""The virtual devkit sends the spikes of the program that its configuration describes."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from reference import ReferenceTwin
from virtual_boards import (
    TIMEOUT,
    as_rows,
    configuration_of,
    empty_configuration,
    opened,
    rising_events,
    single_core,
    square_chain,
)

from speckflex.chips.chip import neuron_address, neuron_at
from speckflex.chips.speck import SPECK2E
from speckflex.errors import BoardError
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Destination, InputStage
from speckflex.twin.settings import TwinSettings
from speckflex.virtual import Unverified, _graph, _runners
from speckflex.virtual._clock import BoardClock, StopWatch
from speckflex.virtual._devkit import IDLE_WATTS
from speckflex.virtual._requests import weight_at


@pytest.mark.parametrize("seed", range(6))
def test_every_monitored_core_spikes_like_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    program = square_chain(rng, n_cores=3)
    events = rising_events(rng, program.input.shape, 120)
    reference = ReferenceTwin(program, TwinSettings())
    reference.play(events)
    with opened(configuration_of(program)) as bench:
        bench.handle.get_stop_watch().start()
        spikes = bench.play(bench.spikes(events))
    for layer, expected in enumerate(reference.spikes):
        assert as_rows(spikes, layer) == [tuple(map(int, row)) for row in expected]


def test_only_monitored_cores_send_spikes():
    program = square_chain(np.random.default_rng(1), n_cores=2)
    configuration = configuration_of(program, monitor=False)
    configuration.cnn_layers[0].monitor_enable = True
    events = rising_events(np.random.default_rng(2), program.input.shape, 80)
    with opened(configuration) as bench:
        assert {spike.layer for spike in bench.play(bench.spikes(events))} == {0}


def test_a_second_configuration_starts_from_its_initial_values():
    program = single_core(weight=100, threshold=127)
    configuration = configuration_of(program)
    event = make_events(*np.zeros((4, 1), int))
    with opened(configuration) as bench:
        assert bench.play(bench.spikes(event)) == []
        bench.model.apply_configuration(configuration)
        assert bench.play(bench.spikes(event)) == []
        assert len(bench.play(bench.spikes(event))) == 1


def test_the_applied_configuration_is_copied_in_and_out():
    configuration = configuration_of(single_core())
    with opened(configuration) as bench:
        configuration.cnn_layers[0].threshold_high = 5
        applied = bench.model.get_configuration()
        assert applied.cnn_layers[0].threshold_high == 127
        applied.cnn_layers[0].threshold_high = 6
        assert bench.model.get_configuration().cnn_layers[0].threshold_high == 127


def test_events_at_different_cores_reach_the_same_neurons():
    first, second = single_core(weight=64).cores[0], single_core(weight=64).cores[0]
    program = Program((first,), InputStage((1, 1, 1)), "speck2e")
    configuration = configuration_of(program)
    configuration.cnn_layers[1].assign(configuration.cnn_layers[0])
    configuration.cnn_layers[0].destinations[0].enable = True
    configuration.cnn_layers[0].destinations[0].layer = 1
    assert second.threshold_high == 127
    event = make_events(*np.zeros((4, 1), int))
    with opened(configuration) as bench:
        zero, one = bench.spikes(event, layer=0)[0], bench.spikes(event, layer=1)[0]
        # core 0 reaches 128 with its second event; core 1 has 64 of its own by then
        spikes = bench.play([zero, one, zero])
    assert [spike.layer for spike in spikes] == [0, 1]


def test_events_for_missing_layers_are_counted_as_lost(caplog):
    with opened(configuration_of(single_core(size=2))) as bench:
        kind = bench.chip.event.Spike
        bench.play([kind(layer=5), kind(layer=0, x=2), kind(layer=0, feature=1), kind(layer=0)])
        assert bench.handle.losses.unaddressed == 3
    assert "layer 5 is not configured" in caplog.text


def test_a_neuron_has_the_address_of_sinabs_formula():
    shape = (3, 8, 8)
    initial = np.arange(np.prod(shape)).reshape(shape)
    program = square_chain(np.random.default_rng(3), n_cores=1)
    core = program.cores[0]
    core = type(core)(
        name="core 0",
        weights=np.ones((3, 1, 1, 1)),
        threshold_high=1000,
        threshold_low=-1000,
        input_shape=(1, 8, 8),
        initial_state=initial,
        chip_core=0,
    )
    with opened(configuration_of(Program((core,), InputStage((1, 8, 8)), "speck2e"))) as bench:
        kind = bench.chip.event.ReadNeuronValue
        # sinabs: y << (c bits + y bits) | x << c bits | c, on a square map
        places = [(c, y, x) for c in range(3) for y in range(8) for x in range(8)]
        reads = [kind(layer=0, address=y << 5 | x << 2 | c) for c, y, x in places]
        answers = bench.ask(reads, len(reads))
    assert [answer.neuron_state for answer in answers] == [initial[place] for place in places]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (4, 2, 7), (16, 32, 32)])
def test_no_two_neurons_share_an_address(shape):
    places = set(np.ndindex(shape))
    addresses = {neuron_address(*place, shape) for place in places}
    assert len(addresses) == len(places)
    assert all(neuron_at(a, shape) in places for a in addresses)
    n_words = 2 ** sum(math.ceil(math.log2(size)) for size in shape)
    assert max(addresses) < n_words


def test_a_threshold_of_zero_fires_at_a_potential_of_zero():
    program = single_core(weight=1, threshold=0)
    with opened(configuration_of(program)) as bench:
        event = bench.chip.event
        events = [event.WriteNeuronValue(layer=0, address=0, neuron_state=-2), *[event.Spike()] * 3]
        # -1 is below 0, then 0 and 1 fire and keep their potential
        assert len(bench.play(events)) == 2


def test_a_written_neuron_fires_with_its_next_event():
    with opened(configuration_of(single_core(weight=1))) as bench:
        event = bench.chip.event
        write = event.WriteNeuronValue(layer=0, address=0, neuron_state=126)
        outside = event.WriteNeuronValue(layer=0, address=1000, neuron_state=5)
        assert len(bench.play([write, outside, event.Spike()])) == 1


def test_a_weight_lies_where_the_data_sheet_says():
    """Its example: 3 x 3 taps, 128 output and 64 input features; tap 6 is row 2, column 0."""
    shape = (128, 64, 3, 3)
    assert weight_at(6 << 13 | 71 << 6 | 28, shape) == (71, 28, 0, 2)


def test_no_two_weights_share_an_address():
    shape = (5, 3, 3, 3)
    places = [weight_at(address, shape) for address in range(2 ** (4 + 3 + 2))]
    assert sorted(place for place in places if place) == list(np.ndindex(shape))


def test_writing_weights_and_biases_keeps_the_potentials():
    program = single_core(weight=60, bias=np.array([-3]))
    with opened(configuration_of(program)) as bench:
        event = bench.chip.event
        # 60, then 67 more: the neuron kept its potential and reaches 127
        spike, write = event.Spike(), event.WriteWeightValue(weight=67)
        reads = [event.ReadWeightValue(), event.ReadWeightValue(address=9), event.ReadBiasValue()]
        answers = bench.ask([spike, write, spike, *reads, event.WriteBiasValue(bias=-5)], 4)
        assert isinstance(answers[0], event.Spike)
        assert [answer.weight for answer in answers[1:3]] == [67, 0]
        assert answers[3].bias == -3
        assert bench.ask([event.ReadBiasValue()], 1)[0].bias == -5
        assert bench.model.get_configuration().cnn_layers[0].weights == [[[[60]]]]


def test_sensor_events_enter_if_they_are_passed_and_their_pixel_works():
    configuration = dvs_configuration()
    seen = make_events(*np.array([[0, 0], [3, 4], [5, 6], [1, 1]]))
    with opened(configuration) as bench:
        event = bench.chip.event
        bench.handle.sense(seen)
        assert [(e.x, e.y) for e in bench.settle()] == [(3, 5), (4, 6)]
        bench.source.write([event.KillSensorPixel(x=3, y=5)])
        bench.settle()
        bench.handle.sense(seen)
        # a silenced pixel sends nothing; an injected event at its address enters
        assert [(e.x, e.y) for e in bench.settle()] == [(4, 6)]
        assert len(bench.play([event.DvsEvent(x=3, y=5)])) == 1
        bench.source.write([event.ResetSensorPixel()])
        bench.settle()
        bench.handle.sense(seen)
        assert len(bench.settle()) == 2
        configuration.dvs_layer.pass_sensor_events = False
        bench.model.apply_configuration(configuration)
        bench.handle.sense(seen)
        assert bench.settle() == []


def test_the_stop_watch_holds_events_back_until_their_time():
    with opened(configuration_of(single_core()), speed=1.0) as bench:
        events = make_events(np.array([0, 400_000]), *np.zeros((3, 2), int))
        started = time.monotonic()
        bench.handle.get_stop_watch().start()
        bench.source.write(bench.spikes(events))
        first = bench.sink.get_n_events(1, timeout_ms=1000 * TIMEOUT)
        second = bench.sink.get_n_events(1, timeout_ms=1000 * TIMEOUT)
        elapsed = time.monotonic() - started
    assert 0.4 <= elapsed < TIMEOUT
    assert first[0].timestamp < second[0].timestamp == 400_000


def test_an_event_in_the_past_leaves_at_once_with_the_time_of_the_watch():
    with opened(configuration_of(single_core()), speed=1.0) as bench:
        bench.handle.get_stop_watch().start()
        time.sleep(0.05)
        (spike,) = bench.play([bench.chip.event.Spike(timestamp=1)])
    assert spike.timestamp >= 50_000


def test_board_time_runs_faster_with_a_speed():
    with opened(configuration_of(single_core()), speed=100.0) as bench:
        started = time.monotonic()
        bench.handle.get_stop_watch().start()
        (spike,) = bench.play([bench.chip.event.Spike(timestamp=5_000_000)])
    assert spike.timestamp == 5_000_000
    assert 0.05 <= time.monotonic() - started < 5


@pytest.mark.parametrize("speed", [1.0, math.inf])
def test_a_stopped_watch_holds_back_later_events_and_all_behind_them(speed):
    """Samna's page on the devkits: a disabled watch freezes the counter, and no more."""
    with opened(configuration_of(single_core()), speed=speed) as bench:
        event, watch = bench.chip.event, bench.handle.get_stop_watch()
        watch.stop()
        watch.reset()
        bench.source.write([event.Spike(timestamp=0), event.Spike(timestamp=50_000)])
        bench.source.write([event.Spike(timestamp=0), event.ReadNeuronValue()])
        assert [e.timestamp for e in bench.sink.get_n_events(4, timeout_ms=300)] == [0]
        watch.start()
        late = bench.sink.get_n_events(3, timeout_ms=1000 * TIMEOUT)
    assert [type(e).__name__ for e in late] == ["Spike", "Spike", "NeuronValue"]
    # the output carries the counter, also of the event that waited behind a later one
    assert min(e.timestamp for e in late[:2]) >= 50_000


def test_a_stopped_watch_stamps_with_the_frozen_counter():
    with opened(configuration_of(single_core())) as bench:
        event, watch = bench.chip.event, bench.handle.get_stop_watch()
        bench.play([event.Spike(timestamp=700)])
        watch.stop()
        assert [e.timestamp for e in bench.play([event.Spike(timestamp=30)])] == [700]
        watch.start(False)
        assert [e.timestamp for e in bench.play([event.Spike(timestamp=900)])] == [900]


def test_events_on_their_way_to_the_board_leave_before_the_watch_stops():
    """Where events take no time, all that was written before the watch stopped was due."""
    with opened(configuration_of(single_core())) as bench:
        event, watch = bench.chip.event, bench.handle.get_stop_watch()
        watch.start()
        _graph._carrier.submit(lambda: time.sleep(0.3))
        bench.source.write([event.Spike(timestamp=700)])
        watch.stop()
        spikes = bench.sink.get_n_events(1, timeout_ms=2000)
    assert [spike.timestamp for spike in spikes] == [700]


def test_the_counter_wraps_after_32_bits():
    clock = BoardClock(math.inf)
    watch = StopWatch(clock, lambda: None, lambda: None)
    watch.start()
    clock.advance(2**32 + 5)
    assert watch.reading(clock.now()) == 5
    assert watch.due(3, clock.now()) == 2**32 + 5
    assert watch.due(10, clock.now()) == 2**32 + 10


def test_sensor_events_do_not_wait_for_the_hosts():
    configuration = dvs_configuration()
    with opened(configuration) as bench:
        watch = bench.handle.get_stop_watch()
        watch.stop()
        watch.reset()
        bench.source.write([bench.chip.event.DvsEvent(timestamp=9)])
        bench.handle.sense(make_events(*np.array([[3], [4], [5], [1]])))
        assert [(e.x, e.y) for e in bench.sink.get_n_events(2, timeout_ms=500)] == [(4, 5)]


def test_the_deprecated_switch_of_the_stop_watch_warns_and_resets():
    with opened(configuration_of(single_core())) as bench:
        watch, kind = bench.handle.get_stop_watch(), bench.chip.event.Spike
        bench.play([kind(timestamp=700)])
        for switch in (True, False):
            with pytest.warns(DeprecationWarning, match="use `start` and `stop` instead"):
                watch.set_enable_value(switch)
            assert [e.timestamp for e in bench.play([kind()])] == [0]


@pytest.mark.parametrize("rate", [0.5, 20.0, "20", None, np.float64(20)])
def test_the_slow_clock_takes_whole_hertz(rate):
    with opened() as bench:
        io = bench.handle.get_io_module()
        with pytest.raises(TypeError, match=r"set_slow_clk_rate\(\): incompatible function"):
            io.set_slow_clk_rate(rate)
        io.set_slow_clk_rate(np.int32(20))


def test_the_slow_clock_is_off_and_at_1000_hertz_until_it_is_set():
    program = single_core(weight=1, initial_state=np.full((1, 1, 1), 100), bias=np.array([-1]))
    with opened(configuration_of(program)) as bench:
        event = bench.chip.event
        nowhere = [event.Spike(layer=5, timestamp=t) for t in (10_000, 20_500)]
        assert bench.ask([nowhere[0], event.ReadNeuronValue()], 1)[0].neuron_state == 100
        bench.handle.get_io_module().set_slow_clk(1)
        assert bench.ask([nowhere[1], event.ReadNeuronValue()], 1)[0].neuron_state == 90


def test_one_tick_of_the_slow_clock_can_be_ordered():
    program = single_core(initial_state=np.full((1, 1, 1), 100), bias=np.array([-1]))
    with opened(configuration_of(program)) as bench:
        for _ in range(3):
            bench.handle.get_io_module().pulse_slow_clk()
        assert bench.ask([bench.chip.event.ReadNeuronValue()], 1)[0].neuron_state == 97


def test_the_leak_lowers_a_neuron_at_each_tick_down_to_the_bound():
    program = single_core(initial_state=np.full((1, 1, 1), 127), bias=np.array([-13]))
    with opened(configuration_of(program), speed=1000.0) as bench:
        io = bench.handle.get_io_module()
        io.set_slow_clk_rate(10)
        io.set_slow_clk(True)
        read = bench.chip.event.ReadNeuronValue(layer=0, address=0)
        values = []
        while not values or values[-1] > -127:
            values.append(bench.ask([read], 1)[0].neuron_state)
            time.sleep(0.0005)
        io.set_slow_clk(False)
    # NB/leak_neuron recorded 101, 88, ... -16 in steps of -13 on a chip with these values
    assert all((127 - value) % 13 == 0 for value in values[:-1] if value > -127)
    assert values == sorted(values, reverse=True)
    assert values[-1] == -127


def test_no_leak_without_the_slow_clock():
    program = single_core(initial_state=np.full((1, 1, 1), 127), bias=np.array([-13]))
    with opened(configuration_of(program), speed=1000.0) as bench:
        time.sleep(0.05)
        read = bench.chip.event.ReadNeuronValue(layer=0, address=0)
        assert bench.ask([read], 1)[0].neuron_state == 127


def test_the_internal_slow_clock_counts_sensor_events():
    program = single_core(initial_state=np.full((1, 1, 1), 100), bias=np.array([-1]))
    configuration = configuration_of(program)
    configuration.cnn_layers[0].leak_internal_slow_clk_enable = True
    configuration.factory_config.internal_slow_clk_divider = 14
    with opened(configuration) as bench:
        bench.handle.get_io_module().set_slow_clk_rate(1000)
        bench.handle.get_io_module().set_slow_clk(True)
        bench.handle.get_stop_watch().start()
        event = bench.chip.event
        read = event.ReadNeuronValue()
        # two ticks in 2 * 2^14 events; the external clock ticks as well, without effect
        events = [event.DvsEvent(timestamp=t // 10) for t in range(2 * 2**14 + 5)]
        assert bench.ask([*events, read], 1)[0].neuron_state == 98


def dvs_configuration(**values):
    """Return a configuration whose DVS layer feeds core 0 one to one."""
    configuration = empty_configuration()
    configuration.dvs_layer.monitor_enable = True
    for name, value in values.items():
        setattr(configuration.dvs_layer, name, value)
    return configuration


DVS_CASES = {
    "plain": ({}, [(0, 5, 7, 1), (0, 5, 7, 0)]),
    "merge": ({"merge": True}, [(0, 5, 7, 0), (0, 5, 7, 0)]),
    "off only": ({"on_channel": False}, [(0, 5, 7, 0)]),
    # as merged ones, a polarity alone has feature 0 (samna, models)
    "on only": ({"off_channel": False}, [(0, 5, 7, 0)]),
    "pooled": ({"pooling": {"x": 4, "y": 2}}, [(0, 2, 1, 1), (0, 2, 1, 0)]),
    "cut away": ({"origin": {"x": 8, "y": 0}}, []),
    "cut is inclusive": ({"cut": {"x": 7, "y": 5}}, [(0, 5, 7, 1), (0, 5, 7, 0)]),
    "region starts at 0": ({"origin": {"x": 7, "y": 3}}, [(0, 2, 0, 1), (0, 2, 0, 0)]),
    "mirrored": ({"mirror": {"x": True, "y": False}}, [(0, 5, 120, 1), (0, 5, 120, 0)]),
    "swapped": ({"mirror_diagonal": True}, [(0, 7, 5, 1), (0, 7, 5, 0)]),
}


@pytest.mark.parametrize("case", DVS_CASES)
def test_the_dvs_layer_prepares_injected_events(case):
    values, expected = DVS_CASES[case]
    with opened(dvs_configuration(**values)) as bench:
        kind = bench.chip.event.DvsEvent
        spikes = bench.play([kind(x=7, y=5, p=True), kind(x=7, y=5, p=False)])
    assert [(e.timestamp, e.y, e.x, e.feature) for e in spikes] == expected
    assert {e.layer for e in spikes} <= {SPECK2E.dvs.layer}


def test_dvs_events_reach_the_next_core_and_the_raw_monitor():
    program = single_core(size=16)
    configuration = configuration_of(program, chip="speck2f")
    dvs = configuration.dvs_layer
    dvs.merge, dvs.cut, dvs.raw_monitor_enable = True, {"x": 15, "y": 15}, True
    dvs.pass_sensor_events = False
    dvs.destinations[0].enable = True
    with opened(configuration, device="Speck2fDevKit") as bench:
        kind = bench.chip.event.DvsEvent
        events = bench.play([kind(x=3, y=4, p=True), kind(x=30, y=4, p=True)])
    raw = [event for event in events if isinstance(event, kind)]
    assert [(event.x, event.y) for event in raw] == [(3, 4), (30, 4)]
    assert as_rows([event for event in events if not isinstance(event, kind)], 0) == [(0, 3, 4, 0)]


def test_the_filter_counts_the_ticks_of_the_configured_clock():
    """Between the two events the external clock does not tick, and the internal one does."""
    found = {}
    for internal in (False, True):
        configuration = configuration_of(single_core(size=16))
        dvs, rule = configuration.dvs_layer, configuration.dvs_filter
        dvs.merge, dvs.cut = True, {"x": 15, "y": 15}
        dvs.destinations[0].enable = True
        rule.enable, rule.threshold, rule.internal_slow_clk = True, 1, internal
        configuration.factory_config.internal_slow_clk_divider = 14
        rule.filter_size = {"x": 1, "y": 1}
        with opened(configuration) as bench:
            kind = bench.chip.event.DvsEvent
            # these are cut away before the filter; the internal clock counts them all the same
            between = [kind(x=100, y=100)] * 2 * 2**14
            spikes = bench.play([kind(x=3, y=4), *between, kind(x=4, y=4)])
        found[internal] = as_rows(spikes, 0)
    assert found == {False: [(0, 4, 4, 0)], True: []}


def test_spikes_of_a_core_with_two_destinations_arrive_at_both():
    program = single_core()
    core = program.cores[0]
    branch = [core.__class__(**{**vars(core), "chip_core": index}) for index in range(3)]
    branch[0] = core.__class__(**{**vars(core), "destinations": (Destination(1), Destination(2))})
    configuration = configuration_of(Program(tuple(branch), program.input, "speck2e"))
    with opened(configuration) as bench:
        spikes = bench.play([bench.chip.event.Spike()])
    assert sorted(spike.layer for spike in spikes) == [0, 1, 2]


def test_a_board_reset_applies_an_empty_configuration():
    with opened(configuration_of(single_core())) as bench:
        bench.handle.reset_board_soft(True)
        assert bench.play([bench.chip.event.Spike()]) == []
        assert bench.model.get_configuration().cnn_layers[0].weights == []


def test_power_is_measured_on_five_rails():
    with opened() as bench:
        monitor = bench.handle.get_power_monitor()
        sink = bench.samna.graph.sink_from(monitor.get_source_node())
        monitor.start_auto_power_measurement(100)
        measured = sink.get_n_events(10, timeout_ms=1000 * TIMEOUT)
        monitor.stop_auto_power_measurement()
        with pytest.raises(RuntimeError, match="at most 100"):
            monitor.start_auto_power_measurement(101)
    assert [event.channel for event in measured] == [0, 1, 2, 3, 4] * 2
    assert [event.value for event in measured[:5]] == list(IDLE_WATTS)
    assert measured[5].timestamp > measured[0].timestamp


def test_a_closed_device_refuses_calls_until_it_is_opened_again():
    with opened(configuration_of(single_core())) as bench:
        bench.samna.device.close_device(bench.handle)
        for call in (bench.model.get_configuration, bench.handle.get_stop_watch):
            with pytest.raises(RuntimeError, match="closed"):
                call()
        again = bench.samna.device.open_device(bench.info)
        assert again is not bench.handle
        assert again.get_model().get_configuration().cnn_layers[0].weights == []


def test_a_devkit_that_had_nothing_to_do_sends_a_flood_in_parts(monkeypatch):
    """Before, each look at an empty queue doubled how many events it would take at once."""
    monkeypatch.setattr("speckflex.virtual._fpga.SPIKES_PER_TURN", 100)
    core = replace(single_core().cores[0], weights=np.full((64, 1, 1, 1), 127))
    program = Program((core,), InputStage((1, 1, 1)), "speck2e")
    with opened(configuration_of(program)) as bench:
        for _ in range(20):
            bench.handle.get_stop_watch().reset()
        graph, sizes = bench.samna.graph.EventFilterGraph(), []
        *_, node = graph.sequential([bench.model.get_source_node(), "Speck2eCustomFilterNode"])
        node.set_filter_function(lambda events: sizes.append(len(events)))
        graph.start()
        assert len(bench.play([bench.chip.event.Spike()] * 40)) == 40 * 64
        graph.stop()
    assert max(sizes) < 40 * 64 / 4


def test_an_invalid_configuration_is_refused_and_the_old_one_stays():
    configuration = configuration_of(single_core())
    with opened(configuration) as bench:
        configuration.cnn_layers[0].threshold_high = -1
        with pytest.raises(RuntimeError, match="threshold_high -1 is not in"):
            bench.model.apply_configuration(configuration)
        with pytest.raises(TypeError, match="give a SpeckConfiguration"):
            bench.model.apply_configuration({})
        with pytest.raises(TypeError, match="give a SpeckConfiguration"):
            bench.model.apply_configuration(empty_configuration("speck2f"))
        assert len(bench.play([bench.chip.event.Spike()])) == 1


def test_a_monitors_calls_in_any_order_raise_nothing():
    with opened() as bench:
        monitor = bench.handle.get_power_monitor()
        sink = bench.samna.graph.sink_from(monitor.get_source_node())
        monitor.stop_auto_power_measurement()
        assert monitor.is_auto_power_measurement_active() is False
        assert monitor.single_shot_power_measurement() is True
        (*_, last) = sink.get_n_events(5, timeout_ms=1000 * TIMEOUT)
        assert isinstance(last, bench.samna.unifirm.modules.events.PowerMeasurement)
        assert monitor.start_auto_power_measurement(20) == 20.0
        assert monitor.start_auto_power_measurement(50.0) == 50.0
        assert monitor.single_shot_power_measurement() is False
        assert monitor.is_auto_power_measurement_active() is True
        monitor.stop_auto_power_measurement()


def test_a_board_tells_its_serial_number_and_versions():
    with opened() as bench:
        assert bench.handle.get_board_serial_number() == bench.info.serial_number
        versions = bench.handle.get_firmware_versions()
        assert "speckflex" in versions.unifirm
        bench.handle.make_unifirm_hook().poll_tx()


def test_a_board_reset_forgets_waiting_events():
    configuration = configuration_of(single_core())
    with opened(configuration) as bench:
        bench.handle.get_stop_watch().stop()
        kind = bench.chip.event.Spike
        # the first shows that the second waits
        assert len(bench.ask([kind(), kind(timestamp=10**9)], 1)) == 1
        bench.handle.reset_board_soft(True)
        bench.model.apply_configuration(configuration)
        assert len(bench.play([bench.chip.event.Spike()])) == 1


@pytest.mark.parametrize(("choice", "state"), [("zero", 0), ("initial values", 50)])
def test_a_model_reset_sets_the_potentials_as_the_choice_says(choice, state):
    program = single_core(weight=20, initial_state=np.full((1, 1, 1), 50))
    with opened(configuration_of(program), unverified=Unverified(model_reset=choice)) as bench:
        event = bench.chip.event
        assert bench.ask([event.Spike(), event.ReadNeuronValue()], 1)[0].neuron_state == 70
        bench.model.reset()
        assert bench.ask([event.ReadNeuronValue()], 1)[0].neuron_state == state


def test_requests_may_be_dropped_while_the_watch_runs():
    dropping = Unverified(reads_while_running="dropped")
    with opened(configuration_of(single_core()), unverified=dropping) as bench:
        read = bench.chip.event.ReadNeuronValue()
        bench.source.write([read])
        assert bench.sink.get_n_events(1, timeout_ms=200) == []
        bench.handle.get_stop_watch().stop()
        assert len(bench.ask([read], 1)) == 1
    with pytest.raises(BoardError, match="reads_while_running is 'lost': choose one of answered"):
        Unverified(reads_while_running="lost")


def test_the_first_sample_plays_without_compiling(monkeypatch):
    """What enters by the DVS layer or the first core is compiled when it is configured."""
    configuration = configuration_of(single_core(size=16))
    dvs = configuration.dvs_layer
    dvs.merge, dvs.cut = True, {"x": 15, "y": 15}
    dvs.destinations[0].enable = True
    with opened(configuration) as bench:
        made = []
        monkeypatch.setattr(_runners, "Machine", lambda *args: made.append(args))
        assert len(bench.play([bench.chip.event.DvsEvent(x=1)])) == 1
        assert len(bench.play([bench.chip.event.Spike(x=1)])) == 1
    assert made == []
