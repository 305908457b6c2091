"""The record of a forward pass: the same with and without an input shape, and nothing missed."""

import pytest
import torch
from sinabs import layers as sl
from torch import nn
from torch.nn import functional

from speckflex.errors import NetworkError
from speckflex.networks.forward_pass import Route
from speckflex.networks.trace import trace

SHAPE = (2, 8, 8)


def spiking() -> nn.Module:
    return sl.IAFSqueeze(batch_size=1)


class Branching(nn.Module):
    """Two branches, one of them pooled by stride, that a plus merges."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), spiking())
        self.left = nn.Sequential(nn.AvgPool2d(2), nn.Dropout(), nn.Conv2d(3, 4, 1), spiking())
        self.right = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), spiking())
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.left(x) + self.right(x)
        return self.head(x.view(x.shape[0], -1))


def steps(forward) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(step.name, step.role, step.inputs) for step in forward.steps]


EXPECTED = [
    ("", "input", ()),
    ("stem.0", "weights", (0,)),
    ("stem.1", "neurons", (1,)),
    ("left.0", "pooling", (2,)),
    ("left.1", "dropped", (3,)),
    ("left.2", "weights", (4,)),
    ("left.3", "neurons", (5,)),
    ("right.0", "weights", (2,)),
    ("right.1", "neurons", (7,)),
    ("add", "merge", (6, 8)),
    ("view", "shaping", (9,)),
    ("head", "weights", (10,)),
]


@pytest.mark.parametrize("shape", [None, SHAPE])
def test_the_record_names_each_step_its_role_and_its_inputs(shape):
    forward = trace(Branching(), shape)
    assert steps(forward) == EXPECTED
    assert forward.outputs == (11,)
    assert (forward.loose_tensors, forward.value_uses) == ((), ())


def test_shapes_are_those_of_a_run():
    network = Branching()
    shapes = [step.shape for step in trace(network, SHAPE).steps]
    assert shapes[:4] == [(2, 8, 8), (3, 8, 8), (3, 8, 8), (3, 4, 4)]
    assert shapes[-2:] == [(64,), (5,)]
    assert {step.shape for step in trace(network).steps} == {None}


def test_layers_are_the_networks_own_and_their_copies_are_plain():
    network = Branching().half()
    step = trace(network, SHAPE).steps[1]
    assert step.layer is network.stem[0]
    assert step.copied is not step.layer
    assert (step.copied.weight.dtype, step.copied.training) == (torch.float32, False)


def test_consumers_and_routes_follow_the_record():
    forward = trace(Branching())
    assert forward.consumers(2) == [3, 7]
    assert forward.routes(5) == [Route(2, (3, 4))]
    assert forward.routes(11) == [Route(6, (9, 10)), Route(8, (9, 10))]
    assert forward.positions("norm", "weights") == [1, 5, 7, 11]
    assert [forward.n_calls(name) for name in ("head", "view")] == [1, 0]


def test_tracing_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(), spiking())
    network(torch.rand(4, *SHAPE))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    trace(network, SHAPE)
    assert torch.rand(1) == expected
    assert all(module.training for module in network.modules())
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


class FromShapes(nn.Module):
    """Asks its input for everything but values."""

    def __init__(self):
        super().__init__()
        self.conv, self.flat = nn.Conv2d(2, 3, 3), nn.Flatten()

    def forward(self, x):
        if not isinstance(x, torch.Tensor) or not torch.is_tensor(x):
            raise TypeError(x)
        if x.dim() == 5:
            x = x.flatten(0, 1)
        batch, *sides = x.shape
        if len(x) != batch or x.size(1) != 2 or x.numel() != batch * 128:
            raise ValueError(sides)
        return self.flat(self.conv(x).to(x.dtype))


def test_with_a_shape_a_forward_pass_may_ask_for_shapes():
    forward = trace(FromShapes(), SHAPE)
    assert [step.name for step in forward.steps] == ["", "conv", "to", "flat"]
    assert forward.value_uses == ()


def test_without_a_shape_a_forward_pass_that_asks_for_shapes_is_refused():
    with pytest.raises(NetworkError, match=r"FromShapes can't be traced .*give the input shape"):
        trace(FromShapes())


class FromValues(nn.Module):
    def __init__(self, ask):
        super().__init__()
        self.ask, self.conv = ask, nn.Conv2d(2, 3, 3, bias=False)

    def forward(self, x):
        x = self.conv(x)
        self.ask(x)
        return x


ASKING = {
    "a condition": lambda x: x.sum() > 0 and None,
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "index": lambda x: [0, 1][x.sum().long()],
    "equal": lambda x: torch.equal(x, x),
    "numpy": lambda x: x.numpy(),
}


@pytest.mark.parametrize("way", ASKING)
def test_the_record_says_where_values_are_asked_for(way):
    (place,) = trace(FromValues(ASKING[way]), SHAPE).value_uses
    assert place.startswith("test_trace.py, line ")


class InPlace(nn.Module):
    """Changes tensors in every way that torch has."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.last = (
            nn.Conv2d(2, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2, 2, 1),
        )

    def forward(self, x):
        x = self.conv(x)
        self.relu(x)
        x.add_(x)
        functional.relu(x, inplace=True)
        return self.last(x)


@pytest.mark.parametrize("shape", [None, SHAPE])
def test_a_tensor_that_changes_in_place_is_the_new_one_from_there_on(shape):
    forward = trace(InPlace(), shape)
    assert steps(forward)[1:] == [
        ("conv", "weights", (0,)),
        ("relu", "relu", (1,)),
        ("add_", "merge", (2, 2)),
        ("relu", "relu", (3,)),
        ("last", "weights", (4,)),
    ]


class SettingItems(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        y = x.clone()
        y[:, :1] = x[:, 1:]
        return self.conv(y)


def test_items_that_are_set_are_a_step_of_their_own():
    forward = trace(SettingItems(), SHAPE)
    assert forward.steps[-2].name == "setitem"
    assert forward.steps[-2].role == "function"
    assert forward.steps[-1].inputs == (len(forward.steps) - 2,)


class Functional(nn.Module):
    """Uses tensors of its layers without calling them, and one of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.scale = nn.Conv2d(2, 2, 1), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return functional.conv2d(x, self.conv.weight) * self.scale


@pytest.mark.parametrize(
    ("shape", "convolution"), [(None, ("conv2d", "function")), (SHAPE, ("conv", "weights"))]
)
def test_functions_have_a_place_and_tensors_that_they_take_are_named(shape, convolution):
    forward = trace(Functional(), shape)
    assert [(step.name, step.role) for step in forward.steps[1:]] == [
        convolution,
        ("mul", "function"),
    ]
    assert all(step.place.startswith("test_trace.py, line ") for step in forward.steps[1:])
    assert forward.loose_tensors == ("conv.weight", "scale")


@pytest.mark.parametrize(
    ("function", "role"),
    [
        (lambda x: torch.add(x, x), "merge"),
        (lambda x: torch.add(x, x, alpha=2), "function"),
        (lambda x: x + 1, "function"),
        (lambda x: torch.flatten(x, 1), "shaping"),
        (lambda x: x[:, :1], "function"),
        (lambda x: x.transpose(2, 3), "function"),
        (lambda x: torch.cat(x.chunk(2, 1), 1), "concat"),
        (lambda x: torch.cat(x.chunk(2, 1), 2), "function"),
        (lambda x: torch.cat([x], 0), "shaping"),
        (lambda x: x[:, [1, 0]], "function"),
        (lambda x: x.transpose(0, 1).transpose(1, 0), "shaping"),
        (lambda x: x * 2, "scale"),
        (lambda x: 2 / x, "function"),
        (lambda x: x.relu(), "relu"),
        (lambda x: x.clamp(0, 1), "function"),
        (lambda x: functional.avg_pool2d(x, 2), "pooling"),
    ],
)
def test_only_what_keeps_all_values_in_place_is_shaping_and_a_plain_sum_a_merge(function, role):
    network = nn.Sequential(nn.Conv2d(2, 2, 1), Calls(function))
    assert trace(network, SHAPE).steps[-1].role == role


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_a_layer_with_several_outputs_gives_each_of_them():
    def largest(x):
        found = x.max(1)
        return found.values + found.indices

    made = trace(Calls(largest), SHAPE).steps[1:]
    assert [step.name for step in made] == ["max", "getitem", "getitem", "add"]


def test_parts_of_a_tensor_can_be_unpacked():
    def halves(x):
        left, right = x.chunk(2, 1)
        return left + right

    for shape in (None, SHAPE):
        names = [step.name for step in trace(Calls(halves), shape).steps]
        assert names == ["", "chunk", "getitem", "getitem", "add"]


class OwnConv(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) * 2


class OwnPool(nn.AvgPool2d):
    def forward(self, x):
        return super().forward(x) * 2


def test_a_users_weight_layer_is_one_step_and_any_other_module_is_followed():
    forward = trace(nn.Sequential(OwnConv(2, 2, 1), OwnPool(2)), SHAPE)
    assert [(step.name, step.role) for step in forward.steps[1:]] == [
        ("0", "weights"),
        ("avg_pool2d", "pooling"),
        ("mul", "scale"),
    ]


def test_a_single_layer_is_a_network_too():
    assert steps(trace(nn.Conv2d(2, 2, 1), SHAPE))[1:] == [("", "weights", (0,))]


def test_a_layer_that_is_kept_in_a_list_is_refused():
    class Listing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Conv2d(2, 2, 1)]

        def forward(self, x):
            return self.layers[0](x)

    with pytest.raises(NetworkError, match="Conv2d is called but is no submodule"):
        trace(Listing(), SHAPE)


@pytest.mark.parametrize("shape", [None, SHAPE])
@pytest.mark.parametrize("leading", ["squeezed", "repeated", "flattened"])
def test_layers_of_time_are_no_steps_or_keep_all_values(leading, shape):
    conv = nn.Conv2d(2, 3, 3)
    network = {
        "squeezed": nn.Sequential(conv, spiking()),
        "repeated": nn.Sequential(sl.Repeat(conv), sl.IAF()),
        "flattened": nn.Sequential(sl.FlattenTime(), conv, sl.UnflattenTime(4), sl.IAF()),
    }[leading]
    roles = [step.role for step in trace(network, shape).steps]
    assert [role for role in roles if role != "time"] == ["input", "weights", "neurons"]


def test_an_input_that_does_not_pass_names_the_layer_that_stops_it():
    with pytest.raises(NetworkError, match=r"it stops at layer 1 \(Linear\), which gets a map"):
        trace(nn.Sequential(nn.Conv2d(2, 2, 1), nn.Linear(128, 2)), SHAPE)
