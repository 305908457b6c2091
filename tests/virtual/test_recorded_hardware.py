"""The stand-in against what sinabs' own notebooks recorded on a Speck2f devkit.

The numbers are outputs of sinabs' documentation (docs/speck/notebooks, commit 904eb893): how many
events came out, what the readout's pins showed, and how a potential leaked.
"""

import numpy as np
import pytest
from virtual_boards import TIMEOUT, empty_configuration, opened, single_core, write_core

from speckflex.chips.speck import SPECK2F
from speckflex.program.records import Core
from speckflex.virtual._devkit import IDLE_WATTS

SECOND = 1_000_000  # µs


def halves(n_channels):
    """Return a core whose channel 0 sees the upper half of 16 x 16 pixels, its last the lower."""
    weights = np.zeros((n_channels, 1, 16, 16), int)
    weights[0, :, :8], weights[-1, :, 8:] = 127, 127
    return Core("core 0", weights, 127, -127, (1, 16, 16), chip_core=0)


def seen_by_sensor(core):
    """Return a configuration in which the DVS layer merges polarities and feeds a core."""
    configuration = empty_configuration("speck2f")
    write_core(configuration.cnn_layers[0], core, [0])
    configuration.cnn_layers[0].monitor_enable = True
    dvs = configuration.dvs_layer
    dvs.merge, dvs.cut = True, {"x": 15, "y": 15}
    dvs.destinations[0].enable = True
    return configuration


def up_then_down(kind, number, period):
    """Return events in the upper half, then as many in the lower half."""
    rows = np.where(np.arange(number) <= number // 2, 3, 12)
    return [
        kind(x=index % 16, y=int(row), p=bool(index % 2), timestamp=index * period)
        for index, row in enumerate(rows)
    ]


def test_5001_events_become_10002_spikes_of_sensor_and_core():
    configuration = seen_by_sensor(halves(2))
    configuration.dvs_layer.monitor_enable = True
    with opened(configuration, device="Speck2fDevKit") as bench:
        spikes = bench.play(up_then_down(bench.chip.event.DvsEvent, 5001, 2000))
    assert len(spikes) == 10_002
    layers, counts = np.unique([spike.layer for spike in spikes], return_counts=True)
    assert layers.tolist() == [0, SPECK2F.dvs.layer]
    assert counts.tolist() == [5001, 5001]


def readout_run(*, monitor):
    """Play 15001 events in 3 s with a slow clock of 20 Hz, and return what came out."""
    # channels 0 and 4 are classes 1 and 2
    configuration = seen_by_sensor(halves(5))
    target = configuration.cnn_layers[0].destinations[0]
    target.enable, target.layer = True, SPECK2F.readout.layer
    readout = configuration.readout
    readout.enable = readout.readout_pin_monitor_enable = readout.low_pass_filter_disable = True
    readout.monitor_enable = monitor
    readout.readout_configuration_sel, readout.output_mode_sel, readout.threshold = 3, 1, 1
    with opened(configuration, device="Speck2fDevKit") as bench:
        event, io = bench.chip.event, bench.handle.get_io_module()
        io.set_slow_clk_rate(20)
        io.set_slow_clk(True)
        bench.handle.get_stop_watch().start()
        bench.source.write(up_then_down(event.DvsEvent, 15_001, 200))
        # nothing happens any more, and the clock ticks on
        nowhere = event.Spike(layer=5, timestamp=3 * SECOND + 60_000)
        return bench.play([nowhere])


def test_the_readouts_pins_show_one_class_for_30_cycles_and_then_the_other():
    events = readout_run(monitor=False)
    pins = [event for event in events if type(event).__name__ == "ReadoutPinValue"]
    assert [pin.index for pin in pins] == [1] * 30 + [2] * 30
    spikes = [event for event in events if type(event).__name__ == "Spike"]
    assert len(spikes) == 15_001
    assert {spike.feature for spike in spikes} == {0, 4}


def test_the_readouts_monitor_sends_61_values_and_silences_the_spikes():
    names = [type(event).__name__ for event in readout_run(monitor=True)]
    assert names.count("ReadoutValue") == 61
    assert names.count("ReadoutPinValue") == 60
    assert "Spike" not in names


def test_the_leak_has_ticked_twice_when_the_clock_is_on_before_its_rate_is_set():
    """On the devkit 2 ms passed between the two calls, at the default of 1000 Hz."""
    program = single_core(weight=1, initial_state=np.full((1, 1, 1), 127), bias=np.array([-13]))
    configuration = empty_configuration("speck2f")
    write_core(configuration.cnn_layers[0], program.cores[0], [0])
    with opened(configuration, device="Speck2fDevKit") as bench:
        event, io = bench.chip.event, bench.handle.get_io_module()

        def read_at(moment):
            nowhere = event.Spike(layer=5, timestamp=moment)
            (answer,) = bench.ask([nowhere, event.ReadNeuronValue()], 1)
            return answer.neuron_state

        io.set_slow_clk(True)
        read_at(2_500)
        io.set_slow_clk_rate(1)
        found = [read_at(2_500 + SECOND // 4 + half * SECOND // 2) for half in range(15)]
    assert found == [101, 101, 88, 88, 75, 75, 62, 62, 49, 49, 36, 36, 23, 23, 10]


def test_the_idle_power_is_that_of_the_notebook():
    assert np.array(IDLE_WATTS) * 1e6 == pytest.approx(
        [61.68, 51.72, 366.99, 78.87, 610.88], abs=0.05
    )


def test_a_hundred_measurements_a_second_come_from_each_rail():
    """The notebook got 2498 of 2500 in 5 s."""
    with opened() as bench:
        monitor = bench.handle.get_power_monitor()
        sink = bench.samna.graph.sink_from(monitor.get_source_node())
        monitor.start_auto_power_measurement(100)
        measured = sink.get_n_events(5 * 50, timeout_ms=1000 * TIMEOUT)
        monitor.stop_auto_power_measurement()
    times = np.array([event.timestamp for event in measured[::5]])
    assert np.median(np.diff(times)) == pytest.approx(10_000, rel=0.3)
