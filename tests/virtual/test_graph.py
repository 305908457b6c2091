"""Event graphs: rows of nodes carry events while their graph runs and exists."""

import gc
import time

import pytest
import torch

from speckflex import virtual

SAMNA = virtual.install()
SPIKE = SAMNA.speck2e.event.Spike
TIMEOUT_MS = 10_000


def buffers():
    """Return a source and a sink of the same kind of events."""
    return (
        SAMNA.BasicSourceNode_speck2e_event_speck2e_input_event(),
        SAMNA.BasicSinkNode_speck2e_event_output_event(),
    )


def test_a_started_graph_carries_events_in_order():
    source, sink = buffers()
    graph = SAMNA.graph.EventFilterGraph()
    assert graph.sequential([source, sink]) == [source, sink]
    assert graph.start() is True
    source.write([SPIKE(timestamp=number) for number in range(1000)])
    assert [e.timestamp for e in sink.get_n_events(1000, TIMEOUT_MS)] == list(range(1000))
    assert graph.stop() is True


def test_events_are_copied_when_they_are_written():
    source, sink = buffers()
    graph = SAMNA.graph.sequential([source, sink])
    graph.start()
    event = SPIKE(x=1)
    source.write([event])
    event.x = 2
    assert sink.get_events_blocking(TIMEOUT_MS)[0].x == 1


def test_a_graph_that_does_not_run_carries_no_events():
    source, sink = buffers()
    graph = SAMNA.graph.EventFilterGraph()
    graph.sequential([source, sink])
    source.write([SPIKE()])
    graph.start()
    source.write([SPIKE(x=1)])
    graph.stop()
    source.write([SPIKE()])
    assert [event.x for event in sink.get_n_events(2, timeout_ms=100)] == [1]


def test_events_written_before_the_stop_still_arrive():
    source, sink = buffers()
    graph = SAMNA.graph.sequential([source, sink])
    graph.start()
    source.write([SPIKE()] * 500)
    graph.stop()
    assert len(sink.get_n_events(500, TIMEOUT_MS)) == 500


def test_a_collected_graph_stops_delivering(caplog):
    source, sink = buffers()
    graph = SAMNA.graph.EventFilterGraph()
    graph.sequential([source, sink])
    graph.start()
    del graph
    gc.collect()
    source.write([SPIKE()])
    assert sink.get_events_blocking(timeout_ms=100) == []
    assert "destroyed while running" in caplog.text


def test_a_graph_that_never_started_warns(caplog):
    graph = SAMNA.graph.EventFilterGraph()
    graph.sequential(list(buffers()))
    del graph
    gc.collect()
    assert "destroyed without any start" in caplog.text


def test_a_branch_is_added_to_a_running_graph():
    source, first = buffers()
    second = SAMNA.BasicSinkNode_speck2e_event_output_event()
    graph = SAMNA.graph.EventFilterGraph()
    graph.sequential([source, first])
    graph.start()
    graph.sequential([source, second])
    source.write([SPIKE(x=3)])
    for sink in (first, second):
        assert sink.get_events_blocking(TIMEOUT_MS)[0].x == 3


def test_reads_wait_and_remove_what_they_return():
    source, sink = buffers()
    graph = SAMNA.graph.sequential([source, sink])
    graph.start()
    started = time.monotonic()
    assert sink.get_n_events(1, timeout_ms=50) == []
    assert time.monotonic() - started >= 0.05
    source.write([SPIKE(x=number) for number in range(5)])
    assert [event.x for event in sink.get_n_events(2, TIMEOUT_MS)] == [0, 1]
    assert len(sink.get_n_events(3, TIMEOUT_MS)) == 3
    source.write([SPIKE()])
    sink.get_n_events(0)
    time.sleep(0.05)
    sink.clear_events()
    assert sink.get_events() == []


def test_a_source_refuses_the_events_of_another_chip():
    source, _ = buffers()
    with pytest.raises(TypeError, match="source does not take"):
        source.write([SAMNA.speck2f.event.Spike()])


def test_a_graph_refuses_objects_and_names_that_are_no_nodes():
    graph = SAMNA.graph.EventFilterGraph()
    with pytest.raises(TypeError, match="is not a node"):
        graph.sequential([torch.nn.ReLU()])
    with pytest.raises(RuntimeError, match="no filter 'Unheard'"):
        graph.sequential(["Unheard"])


def test_named_and_compiled_filters_choose_events():
    source, sink = buffers()
    graph = SAMNA.graph.EventFilterGraph()
    _, by_type, by_member, _ = graph.sequential(
        [source, "Speck2eOutputEventTypeFilter", SAMNA.graph.JitMemberSelect(), sink]
    )
    by_type.set_desired_type("speck2e::event::Spike")
    by_member.set_white_list([3, 13], "layer")
    graph.start()
    read = SAMNA.speck2e.event.ReadNeuronValue(layer=3)
    source.write([SPIKE(layer=1), read, SPIKE(layer=3), SPIKE(layer=13)])
    assert [event.layer for event in sink.get_n_events(2, TIMEOUT_MS)] == [3, 13]


def test_spikes_are_counted_by_feature_and_the_majority_found():
    source, counted = buffers()
    majority = SAMNA.graph.JitSink()
    graph = SAMNA.graph.EventFilterGraph()
    _, collection, count, _ = graph.sequential(
        [source, SAMNA.graph.JitSpikeCollection(SPIKE), "Speck2eSpikeCountNode", counted]
    )
    readout = SAMNA.graph.JitMajorityReadout(SAMNA.ui.Event)
    graph.sequential([collection, readout, majority])
    collection.set_interval_milli_sec(0)
    count.set_feature_count(3)
    readout.set_default_feature(9)
    readout.set_threshold_low(2)
    graph.start()
    source.write([SPIKE(feature=1), SPIKE(feature=1), SPIKE(feature=2)])
    source.write([SPIKE(feature=1), SPIKE(feature=2)])
    source.write([SPIKE(feature=1)])
    assert counted.get_n_events(9, TIMEOUT_MS)[:3] == [(0, 0), (1, 2), (2, 1)]
    assert majority.get_n_events(3, TIMEOUT_MS) == [1, 9, 9]


def test_a_failing_node_is_logged_and_does_not_stop_the_others(caplog):
    source, sink = buffers()
    specksim = SAMNA.specksim.nodes.SpecksimIAFFilterNode()
    broken = SAMNA.graph.sequential([source, specksim, sink])
    broken.start()
    source.write([SPIKE()])
    broken.stop()
    whole = SAMNA.graph.sequential([source, sink])
    whole.start()
    source.write([SPIKE()])
    assert len(sink.get_events_blocking(TIMEOUT_MS)) == 1
    assert "its events are lost" in caplog.text


def test_the_classes_of_samnas_window_can_be_used():
    plot = SAMNA.ui.ActivityPlotConfiguration(image_width=128, title="dvs")
    source = SAMNA.BasicSourceNode_ui_event()
    graph = SAMNA.graph.EventFilterGraph()
    _, streamer = graph.sequential([source, "VizEventStreamer"])
    graph.start()
    streamer.set_streamer_endpoint("tcp://0.0.0.0:40000")
    source.write([SAMNA.ui.VisualizerConfiguration(plots=[plot])])
    assert plot.image_width == 128
