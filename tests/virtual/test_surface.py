"""What users' and the vendor's scripts call beside configurations, spikes and neurons."""

import pytest
from virtual_boards import TIMEOUT, configuration_of, opened, single_core

from speckflex import virtual

SAMNA = virtual.stand_in()
SPIKE, DVS = SAMNA.speck2f.event.Spike, SAMNA.speck2f.event.DvsEvent


def filtered(node, events):
    """Return what a filter passes on."""
    graph = SAMNA.graph.EventFilterGraph()
    source = SAMNA.BasicSourceNode_speck2f_event_input_event()
    sink = SAMNA.BasicSinkNode_speck2f_event_output_event()
    _, made, _ = graph.sequential([source, node, sink])
    yield made
    graph.start()
    source.write(events)
    # the graphs of a process have one thread: what another one carries comes after
    first = SAMNA.BasicSourceNode_speck2f_event_input_event()
    last = SAMNA.BasicSinkNode_speck2f_event_output_event()
    other = SAMNA.graph.sequential([first, last])
    other.start()
    first.write([SPIKE()])
    assert len(last.get_n_events(1, 1000 * TIMEOUT)) == 1
    other.stop()
    graph.stop()
    yield sink.get_events()


def passed(node, events, **settings):
    """Return what a filter passes on, after calls of its setters by name."""
    steps = filtered(node, events)
    made = next(steps)
    for name, arguments in settings.items():
        getattr(made, name)(*arguments)
    return next(steps)


def test_a_type_filter_lets_one_type_through_or_all_others():
    events = [SPIKE(x=1), DVS(x=2), SPIKE(x=3)]
    name = "speck2f::event::Spike"
    for kind in ("Speck2fOutputEventTypeFilter", "Speck2fInputEventTypeFilter"):
        assert [e.x for e in passed(kind, events, set_desired_type=(name,))] == [1, 3]
        assert [e.x for e in passed(kind, events, set_rejected_type=(name,))] == [2]
    node = SAMNA.graph.JitEventTypeFilter(SPIKE)
    node.set_desired_type(name)
    assert node.get_desired_type() == name
    assert name in node.get_available_types()
    with pytest.raises(RuntimeError, match="no event type 'Spike'"):
        node.set_desired_type("Spike")


@pytest.mark.parametrize("name", ["Speck2fSpikeEventCrop", "Speck2fDvsEventCrop", "DvsEventCrop"])
def test_a_crop_keeps_both_corners_and_starts_at_zero(name):
    events = [DVS(x=x, y=5) for x in range(3, 9)]
    found = passed(name, events, set_roi=(4, 5, 7, 5))
    assert [(e.x, e.y) for e in found] == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_a_decimation_passes_its_fraction():
    events = [DVS(x=x) for x in range(12)]
    assert len(passed("DvsEventDecimate", events, set_decimation_fraction=(4,))) == 3
    assert len(passed("DvsEventDecimate", events, set_decimation_fraction=(4, 3))) == 9


def test_a_rescaling_makes_the_map_smaller():
    found = passed("DvsEventRescale", [DVS(x=7, y=9)], set_rescaling_coefficients=(2, 4))
    assert [(e.x, e.y) for e in found] == [(3, 2)]


def test_a_python_function_is_a_filter_until_it_is_stopped():
    steps = filtered("Speck2fCustomFilterNode", [SPIKE(x=1), SPIKE(x=2)])
    next(steps).set_filter_function(lambda events: events[1:])
    assert [e.x for e in next(steps)] == [2]
    steps = filtered("Speck2fCustomFilterNode", [SPIKE()])
    node = next(steps)
    node.set_filter_function(lambda events: events)
    node.stop()
    assert next(steps) == []


def test_a_noise_rater_divides_counts_by_the_time_between_first_and_last():
    events = [
        DVS(x=0, y=0, p=False, timestamp=100),
        DVS(x=2, y=1, p=True, timestamp=150),
        SPIKE(x=2, y=1, feature=1, timestamp=200),
        DVS(x=3, y=0, p=True, timestamp=900),
    ]
    steps = filtered("Speck2fBackgroundNoiseRater", events)
    node = next(steps)
    node.setup(3, 2)
    assert next(steps) == events
    # the last one lies outside of 3 x 2 pixels; 100 µs from the first to the last inside
    assert node.get_result() == pytest.approx(0.03)
    assert node.get_result_per_polarity() == pytest.approx([0.01, 0.02])
    assert node.get_raw_result() == [[0.01, 0, 0], [0, 0, 0.02]]
    assert node.get_raw_result_per_polarity() == [[[0.01, 0, 0], [0] * 3], [[0] * 3, [0, 0, 0.02]]]
    node.reset()
    assert node.get_raw_result() == [[0] * 3] * 2


def test_pins_are_controlled_as_documented():
    with opened(configuration_of(single_core())) as bench:
        control = bench.handle.get_io_control_module()
        control.write_config(0, 0x1B)
        with pytest.raises(TypeError, match="write_config"):
            control.write_config(0, 0.5)
        # samna 0.48.5's reference has no way to read
        assert not hasattr(control, "read_config")


def test_a_majority_and_a_forward_node_are_found_by_name():
    spikes = [SPIKE(feature=3), SPIKE(feature=3), SPIKE(feature=1)]
    assert passed("Speck2fMajorityReadoutNode", spikes) == [3]
    assert passed("Speck2fForward", spikes) == spikes


@pytest.mark.parametrize(
    "name", ["JitFilter", "JitFunctionFilter", "JitZMQStreamer", "JitZmqReceiver"]
)
def test_a_filter_that_can_not_run_is_refused_at_once(name):
    """Before, its events vanished without a word."""
    with pytest.raises(RuntimeError, match=f"{name} .*: use a filter in Python"):
        getattr(SAMNA.graph, name)("Pass", "template<typename T> class Pass {};")


def test_a_graph_knows_its_nodes():
    graph, node = SAMNA.graph.EventFilterGraph(), SAMNA.graph.JitSink()
    assert graph.has_node(node) is False
    graph.sequential([node])
    assert graph.has_node(node) is True
    graph.start()
    graph.stop()


def test_register_0_answers_241_and_a_written_one_what_was_written():
    with opened(configuration_of(single_core())) as bench:
        event = bench.chip.event
        reads = [event.ReadRegisterValue(address) for address in (0, 0x118)]
        answers = bench.ask([*reads, event.WriteRegisterValue(0x118, 25), reads[1]], 3)
    assert [(e.address, e.data) for e in answers] == [(0, 241), (0x118, 0), (0x118, 25)]


def test_what_the_devkit_has_no_answer_for_is_refused_loudly(caplog):
    with opened(configuration_of(single_core())) as bench:
        assert bench.play([bench.chip.event.ReadSramValue(5), bench.chip.event.Spike()])
    assert "ReadSramValue(address=5) is refused" in caplog.text


@pytest.mark.parametrize("chip", ["speck2e", "speck2f"])
def test_the_flash_and_raw_memories_are_known_and_refused(chip, caplog):
    """The names are those of samna 0.48.5's reference; no source states the fields."""
    event = getattr(SAMNA, chip).event
    requests = ("Read", "Write", "Erase", "SpiRaw", "WriteEnable", "QueryStatus")
    board = f"{chip.capitalize()}DevKit"
    with opened(configuration_of(single_core(), chip=chip), device=board) as bench:
        bench.play([*(getattr(event, f"Flash{name}")() for name in requests), event.Spike()])
    for name in requests:
        assert f"Flash{name}() is refused" in caplog.text
    assert [event.FlashValue.__name__, event.FlashStatus.__name__] == ["FlashValue", "FlashStatus"]
    for function, argument in (
        (event.compute_sram_address, event.ReadNeuronValue()),
        (event.determine_sram_eventrom_address, 0x10),
    ):
        with pytest.raises(RuntimeError, match="no source says how the address"):
            function(argument)


@pytest.mark.parametrize(
    "name", ["Speck2fDvsImageReconstructFilter", "CameraToSpeck2fInput", "DvsEventClusterFilter"]
)
def test_a_filter_of_samna_without_a_rule_is_refused_with_the_reason(name):
    with pytest.raises(RuntimeError, match=f"{name} .*: use a filter in Python"):
        SAMNA.graph.EventFilterGraph().sequential([name])


def test_switches_and_converters_of_the_board_are_taken_or_refused():
    with opened() as bench:
        io, power = bench.handle.get_io_module(), bench.handle.get_power_module()
        io.reset_through_registers()
        io.enable_asi_interface(True)
        with pytest.raises(TypeError, match="enable_asi_interface"):
            io.enable_asi_interface("yes")
        for read in (power.get_adc_core, power.get_adc_io):
            with pytest.raises(RuntimeError, match="use the power monitor"):
                read()


def test_nodes_and_errors_have_the_names_of_samna():
    with opened(device="Speck2fDevKit") as bench:
        source, sink = bench.handle.get_model_source_node(), bench.handle.get_model_sink_node()
    assert type(source).__name__ == "DeviceSourceNode_speck2f_event_output_event"
    assert type(sink).__name__ == "DeviceSinkNode_speck2f_event_input_event"
    assert issubclass(SAMNA.SinkError, RuntimeError)


def test_an_event_of_another_chip_is_refused_when_it_is_written():
    with opened(device="Speck2fDevKit") as bench:
        with pytest.raises(TypeError, match="does not take speck2e::event::Spike"):
            bench.source.write([SAMNA.speck2e.event.Spike()])
        with pytest.raises(TypeError, match="does not take speck2f::event::NeuronValue"):
            bench.source.write([SAMNA.speck2f.event.NeuronValue()])
        bench.source.write([SPIKE(), DVS()])


def test_the_fpga_has_dropped_nothing():
    with opened() as bench:
        io = bench.handle.get_io_module()
        io.set_chip_stuck_check_enable(True)
        io.set_chip_stuck_check_delay(500_000)
        io.request_dropped_events_num()
        (answer,) = bench.sink.get_n_events(1, timeout_ms=1000 * TIMEOUT)
        assert isinstance(answer, SAMNA.unifirm.modules.events.DroppedEventsNum)
        assert answer.num == 0


def test_a_flash_image_is_refused_with_the_reason():
    with pytest.raises(RuntimeError, match=r"362496 bytes .* no source says what stands where"):
        SAMNA.speck2f.configuration_to_flash_binary(
            SAMNA.speck2f.configuration.SpeckConfiguration()
        )
