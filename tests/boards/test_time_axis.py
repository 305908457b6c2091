"""Networks with a time axis of their own: converted if they can run, else refused with a reason."""

from dataclasses import replace

import pytest
import sinabs.layers as sl
import torch
from torch import nn

from speckflex.conversion.convert import convert
from speckflex.errors import ConversionError

SHAPE = (2, 8, 8)


def iaf():
    return sl.IAF(min_v_mem=-1.0)


def conv():
    return nn.Conv2d(2, 4, 3, bias=False)


def linear(n=4 * 6 * 6):
    return nn.Linear(n, 5, bias=False)


def refusal(*layers):
    with pytest.raises(ConversionError) as caught:
        convert(nn.Sequential(*layers), SHAPE)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("repeated_linear", [False, True])
def test_repeated_layers_convert_like_layers_that_squeeze_time(repeated_linear):
    torch.manual_seed(1)
    first, second = conv(), linear()
    last = sl.Repeat(second) if repeated_linear else second
    timed = nn.Sequential(
        sl.Repeat(first), iaf(), sl.Repeat(nn.AvgPool2d(1)), nn.Flatten(2), last, iaf()
    )
    squeezing = nn.Sequential(
        *(first, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)),
        *(nn.AvgPool2d(1), nn.Flatten()),
        *(second, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)),
    )
    with torch.no_grad():
        assert timed(torch.zeros(1, 3, *SHAPE)).shape == (1, 3, 5)
    found, expected = convert(timed, SHAPE), convert(squeezing, SHAPE)
    assert found.cores[0].name == "0.module"
    named = tuple(
        replace(core, name=other.name, neuron_name=other.neuron_name)
        for core, other in zip(found.cores, expected.cores, strict=True)
    )
    assert replace(found, cores=named).sha256 == expected.sha256


def test_a_linear_layer_behind_a_map_is_named_with_the_remedy():
    message = refusal(conv(), iaf(), nn.Flatten(2), linear(), iaf())
    assert "layer 3 (Linear), which gets a map of shape (4, 36) instead of a row" in message
    assert message.endswith("wrap the weight layers in front in sinabs.layers.Repeat")
    assert "nn.Flatten()" in message
    assert "check the input shape" not in message


def test_a_layer_without_a_time_axis_among_others_with_one_is_named():
    message = refusal(conv(), iaf(), nn.Flatten(2), sl.Repeat(linear()), iaf())
    assert "layer 0 (Conv2d), which takes no axis of time" in message
    assert message.endswith("wrap it in sinabs.layers.Repeat too")


@pytest.mark.parametrize(
    "layers",
    [
        (sl.Repeat(conv()), iaf(), nn.Flatten(2), linear(99), iaf()),
        (conv(), iaf(), nn.Flatten(), linear(99), iaf()),
    ],
    ids=["with time", "without"],
)
def test_a_row_of_the_wrong_length_points_at_the_input_shape(layers):
    message = refusal(*layers)
    assert "it stops at layer 3 (Linear) (" in message
    assert message.endswith("check the input shape")
