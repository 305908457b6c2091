"""The readout layer: which class it shows at a tick, with the chip's errata."""

import numpy as np
import pytest
from virtual_boards import empty_configuration, opened, write_core

from speckflex.chips.speck import SPECK2E
from speckflex.program.records import Core

N_CLASSES = 3
VALID = 1 << 20


def readout_configuration(**values):
    """Return a configuration of one core, nine channels for three classes, with the readout on."""
    n = 4 * (N_CLASSES - 1) + 1
    core = Core(
        name="core 0",
        weights=np.eye(n, dtype=int)[:, :, None, None],
        threshold_high=1,
        threshold_low=-1,
        input_shape=(n, 1, 1),
        chip_core=0,
    )
    configuration = empty_configuration()
    write_core(configuration.cnn_layers[0], core, [0])
    configuration.cnn_layers[0].destinations[0].enable = True
    configuration.cnn_layers[0].destinations[0].layer = SPECK2E.readout.layer
    configuration.cnn_layers[0].monitor_enable = True
    readout = configuration.readout
    readout.enable = readout.monitor_enable = readout.readout_pin_monitor_enable = True
    readout.low_pass_filter_disable = True
    readout.readout_configuration_sel = 3
    for name, value in values.items():
        setattr(readout, name, value)
    return configuration


def play(configuration, features, *, n_answers=2):
    """Play one cycle of the slow clock with a spike of each feature, and return the answers."""
    with opened(configuration) as bench:
        io = bench.handle.get_io_module()
        io.set_slow_clk_rate(1000)
        io.set_slow_clk(True)
        kind = bench.chip.event.Spike
        bench.handle.get_stop_watch().start()
        events = [kind(feature=feature, timestamp=500) for feature in features]
        # an unread channel at 1.5 ms lets the board's time pass the tick at 1 ms
        return bench.ask([*events, kind(feature=1, timestamp=1500)], n_answers)


@pytest.mark.parametrize("winner", [1, 2, 3])
def test_every_fourth_channel_is_a_class(winner):
    value, pin = play(readout_configuration(), [4 * (winner - 1)] * 3 + [1, 2, 3] * 9)
    assert value.value == VALID | winner << 16
    assert pin.index == winner
    assert pin.timestamp == 1000


@pytest.mark.parametrize(("mode", "valid"), [(0, VALID), (3, 0)])
def test_below_the_threshold_no_class_leads(mode, valid):
    """In mode 3 the bit says that a class leads, in the others that the value is valid."""
    configuration = readout_configuration(threshold=3, output_mode_sel=mode)
    (value,) = play(configuration, [4, 4, 4], n_answers=1)
    assert value.value & ~0xFFFF == valid


@pytest.mark.parametrize(("selection", "classes"), [(0, [1]), (1, [1]), (2, [1]), (3, [1, 2, 3])])
def test_features_beyond_the_selected_shape_do_not_count(selection, classes):
    """Samna's reference: 2x2y4f, 2x4y2f, 4x4y1f and 1x1y16f; 0, the default, has four features."""
    configuration = readout_configuration(
        readout_configuration_sel=selection, output_mode_sel=1, threshold=0
    )
    value, _ = play(configuration, [0, 4, 8])
    assert value.value & 0xFFFF == sum(1 << number for number in classes)


def test_sensor_events_and_injected_spikes_count_as_well():
    configuration = readout_configuration(output_mode_sel=3)
    configuration.cnn_layers[0].destinations[0].enable = False
    configuration.dvs_layer.destinations[0].enable = True
    configuration.dvs_layer.destinations[0].layer = SPECK2E.readout.layer
    with opened(configuration) as bench:
        event, io = bench.chip.event, bench.handle.get_io_module()
        io.set_slow_clk(True)
        off = event.DvsEvent(p=False, timestamp=500)
        injected = event.Spike(layer=SPECK2E.readout.layer, feature=0, timestamp=500)
        value, _ = bench.ask([off, off, injected, event.DvsEvent(timestamp=1500)], 2)
    assert value.value & 0xFFFF == 3


@pytest.mark.parametrize(
    ("mode", "low_bits"), [(0, 0), (1, 0b1010), (2, 1), (3, 5)], ids=["0", "bits", "one", "max"]
)
def test_the_low_bits_follow_the_output_mode(mode, low_bits):
    configuration = readout_configuration(output_mode_sel=mode, threshold=1, output_neuron_num=2)
    # class 1: 3 spikes, class 2: 1, class 3: 5
    value, _ = play(configuration, [0] * 3 + [4] + [8] * 5)
    assert value.value & 0xFFFF == low_bits
    assert value.value >> 16 == 0b10011


def test_the_average_is_over_sixteen_cycles():
    configuration = readout_configuration(low_pass_filter_disable=False, output_mode_sel=3)
    value, _ = play(configuration, [0] * 35)
    assert value.value & 0xFFFF == 35 // 16


def test_the_readout_monitor_silences_the_other_monitors():
    configuration = readout_configuration(monitor_enable=False)
    answers = play(configuration, [0, 0], n_answers=4)
    assert sorted(type(answer).__name__ for answer in answers) == [
        "ReadoutPinValue",
        "Spike",
        "Spike",
        "Spike",
    ]
    assert "Spike" not in [type(a).__name__ for a in play(readout_configuration(), [0, 0])]
