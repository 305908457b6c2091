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
from speckflex.virtual._events import EVENT_CLASSES, Measurement

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


@pytest.mark.parametrize("kind", [*CONFIGURATION_CLASSES, *EVENT_CLASSES, Measurement])
def test_the_documentation_of_a_record_lists_its_fields_with_their_sources(kind):
    for name, item in kind.fields.items():
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
    ("threshold_high", torch.tensor(1.5)),
    ("leak_enable", 1),
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
    with pytest.raises(TypeError, match="y: -1"):
        event.y = -1
