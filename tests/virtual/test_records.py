"""Configuration records and events: assignment, live references, copies and JSON."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speckflex import virtual
from speckflex.virtual._configuration import (
    CONFIGURATION_CLASSES,
    SpeckConfiguration,
    Vec2UnsignedChar,
)
from speckflex.virtual._events import EVENT_CLASSES, PowerMeasurement

SAMNA = virtual.install()


def test_documented_defaults_are_those_of_samna():
    configuration = SpeckConfiguration()
    layer = configuration.cnn_layers[8]
    assert len(configuration.cnn_layers) == 9
    assert (layer.dimensions.input_shape.size.x, layer.dimensions.input_shape.size.y) == (1, 1)
    assert [item.pooling for item in layer.destinations] == [1, 1]
    assert [item.enable for item in configuration.dvs_layer.destinations] == [False, False]
    assert str(configuration.dvs_layer.cut) == "(127, 127)"
    assert configuration.dvs_layer.on_channel is True
    assert (layer.threshold_high, layer.threshold_low) == (0, -1)
    assert configuration.factory_config.internal_slow_clk_divider == 17
    rule = configuration.dvs_filter
    assert (str(rule.filter_size), rule.threshold) == ("(1, 1)", 5)
    assert (rule.enable, rule.hot_pixel_filter_enable) == (False, True)
    readout = configuration.readout
    assert (readout.readout_configuration_sel, readout.output_mode_sel, readout.threshold) == (
        0,
        0,
        0,
    )


def test_the_two_chips_differ_in_what_samna_documents():
    speck2e, speck2f = (
        chip.configuration.SpeckConfiguration() for chip in (SAMNA.speck2e, SAMNA.speck2f)
    )
    turned = [(str(c.dvs_layer.mirror), c.dvs_layer.mirror_diagonal) for c in (speck2e, speck2f)]
    assert turned == [("(True, False)", True), ("(False, False)", False)]
    assert [hasattr(c.dvs_filter, "low_pass_mode_enable") for c in (speck2e, speck2f)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("monitor", ["monitor_enable", "raw_monitor_enable"])
def test_a_dvs_monitor_lets_the_sensors_events_in(monitor):
    configuration = SAMNA.speck2f.configuration.SpeckConfiguration()
    dvs = configuration.dvs_layer
    assert dvs.pass_sensor_events is False
    setattr(dvs, monitor, False)
    assert dvs.pass_sensor_events is False
    setattr(dvs, monitor, True)
    assert dvs.pass_sensor_events is True
    dvs.pass_sensor_events = False
    # only an assignment has the effect, neither a copy nor a text
    again = SAMNA.speck2f.configuration.SpeckConfiguration()
    again.from_json(configuration.to_json())
    assert again.dvs_layer.pass_sensor_events is False
    assert copy.deepcopy(configuration).dvs_layer.pass_sensor_events is False


def test_dimensions_tell_the_lengths_of_the_arrays():
    dimensions = SpeckConfiguration().cnn_layers[0].dimensions
    dimensions.kernel_size = 3
    dimensions.input_shape.feature_count = 2
    dimensions.output_shape = {"feature_count": 8, "size": {"x": 5, "y": 4}}
    assert dimensions.get_weights_array_dimensions() == [8, 2, 3, 3]
    assert dimensions.get_biases_array_dimensions() == [8]
    assert dimensions.get_neuron_states_array_dimensions() == [8, 5, 4]


@pytest.mark.parametrize("kind", [*CONFIGURATION_CLASSES, *EVENT_CLASSES, PowerMeasurement])
def test_the_documentation_of_a_record_lists_its_fields_with_their_sources(kind):
    own = {name: item for name, item in kind.fields.items() if item.owner == kind.__name__}
    for name, item in own.items():
        assert item.source
        assert f"    {name}: {item.summary} [{item.source}]" in kind.__doc__


def test_nested_records_are_live_references():
    configuration = SpeckConfiguration()
    destination, pooling = (
        configuration.cnn_layers[2].destinations[1],
        configuration.dvs_layer.pooling,
    )
    configuration.cnn_layers[2].destinations[1].layer = 7
    configuration.dvs_layer.pooling = {"x": 2, "y": 4}
    assert destination.layer == 7
    assert pooling == Vec2UnsignedChar(2, 4)
    pooling.x = 1
    assert configuration.dvs_layer.pooling.x == 1
    configuration.cnn_layers[2] = {"threshold_high": 5}
    assert destination.layer == 0


@pytest.mark.parametrize(
    "value", [True, np.True_, np.bool_(1), torch.tensor(1).bool(), torch.tensor([True]).any()]
)
def test_a_flag_is_stored_as_a_python_bool(value):
    layer = SpeckConfiguration().cnn_layers[0]
    layer.leak_enable = value
    assert layer.leak_enable is True


@pytest.mark.parametrize("value", [5, np.int8(5), np.uint64(5), torch.tensor(5), np.array(5)])
def test_an_integer_is_stored_as_a_python_int(value):
    layer = SpeckConfiguration().cnn_layers[0]
    layer.threshold_high = value
    assert layer.threshold_high == 5
    assert type(layer.threshold_high) is int


WRONG = [
    ("threshold_high", 1.5),
    ("threshold_high", "1"),
    ("threshold_high", None),
    ("threshold_high", np.float64(1)),
    ("threshold_high", 2**31),
    ("leak_enable", "yes"),
    ("weights", [[1]]),
    ("weights", [[[[0.5]]]]),
    ("weights", [[[[1, 2], [3]]]]),
    ("biases", 3),
    ("dimensions", 3),
    ("dimensions", Vec2UnsignedChar()),
    ("destinations", [{}]),
    ("output_decimator_interval", 8),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_type_is_refused_and_changes_nothing(name, value):
    layer = SpeckConfiguration().cnn_layers[0]
    with pytest.raises(TypeError, match=name):
        setattr(layer, name, value)
    assert layer == SpeckConfiguration().cnn_layers[0]


def test_unknown_attributes_are_refused():
    configuration = SpeckConfiguration()
    with pytest.raises(AttributeError):
        configuration.cnn_layers[0].weight = []
    with pytest.raises(AttributeError):
        SAMNA.speck2f.event.Spike(channel=1)
    with pytest.raises(AttributeError):
        configuration.cnn_layers[0].dimensions = {"kernel": 3}


def test_nested_lists_are_copied_in_and_out():
    layer = SpeckConfiguration().cnn_layers[0]
    weights = [[[[1, -2], [3, 4]]]]
    layer.weights = weights
    weights[0][0][0][0] = 9
    layer.weights[0][0][0][0] = 8
    assert layer.weights == [[[[1, -2], [3, 4]]]]


@given(
    weights=st.lists(st.integers(-128, 127), min_size=4, max_size=4),
    flags=st.lists(st.booleans(), min_size=3, max_size=3),
    number=st.integers(0, 127),
)
def test_json_pickle_and_deepcopy_bring_the_same_configuration_back(weights, flags, number):
    configuration = SpeckConfiguration()
    layer = configuration.cnn_layers[number % 9]
    layer.weights = np.reshape(weights, (2, 1, 2, 1)).tolist()
    layer.monitor_enable, layer.return_to_zero, configuration.dvs_layer.merge = flags
    configuration.dvs_layer.cut.x = number
    again = SpeckConfiguration()
    again.from_json(configuration.to_json())
    assert again == configuration
    assert copy.deepcopy(configuration) == configuration
    assert pickle.loads(pickle.dumps(configuration)) == configuration
    layer.threshold_low = -5
    assert again != configuration


def test_json_that_is_no_object_is_refused():
    with pytest.raises(ValueError, match="is no object"):
        SpeckConfiguration().from_json("[1]")


def test_events_of_the_two_chips_are_different_types_of_one_declaration():
    spikes = [chip.event.Spike(feature=1, layer=2, x=3) for chip in (SAMNA.speck2e, SAMNA.speck2f)]
    assert spikes[0].to_json() == spikes[1].to_json()
    assert type(spikes[0]) is not type(spikes[1])
    assert repr(SAMNA.speck2f.event.ReadNeuronValue()) == (
        "speck2f::event::ReadNeuronValue(layer=0, address=0)"
    )


def test_a_dvs_event_can_be_pickled():
    event = SAMNA.speck2f.event.DvsEvent(p=True, x=4, timestamp=9)
    assert pickle.loads(pickle.dumps(event)) == event


def test_event_fields_take_tensors_and_refuse_negative_addresses():
    event = SAMNA.speck2e.event.Spike()
    event.x = torch.tensor(7)
    assert event.x == 7
    with pytest.raises(TypeError, match=r"Invoked with: -1 of type int\ny: give an integer in 0"):
        event.y = -1


@pytest.mark.parametrize(
    ("kind", "field", "largest"),
    [
        ("Spike", "timestamp", 2**32 - 1),
        ("DvsEvent", "timestamp", 2**32 - 1),
        ("Spike", "x", 255),
        ("Spike", "layer", 255),
        ("Spike", "feature", 2**16 - 1),
        ("WriteNeuronValue", "neuron_state", 2**15 - 1),
        ("WriteWeightValue", "weight", 127),
    ],
)
def test_an_event_field_holds_what_its_width_holds(kind, field, largest):
    event = getattr(SAMNA.speck2f.event, kind)()
    setattr(event, field, largest)
    assert getattr(event, field) == largest
    with pytest.raises(TypeError, match="incompatible function arguments"):
        setattr(event, field, largest + 1)
