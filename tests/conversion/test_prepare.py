"""What users' networks bring along: mended so that nothing changes, or refused by name."""

from collections import OrderedDict

import numpy as np
import pytest
import sinabs.from_torch
import sinabs.layers as sl
import torch
from sinabs.activation import MembraneReset, PeriodicExponential, SingleSpike
from stepped import assert_same_spikes, exact_weights, neuron, random_frames
from torch import nn
from torch.nn.utils import parametrizations

from speckflex.conversion._prepare import prepare
from speckflex.conversion.convert import convert
from speckflex.conversion.options import ConversionOptions
from speckflex.errors import ConversionError
from speckflex.samna_access import load_samna

load_samna()
from sinabs.backend.dynapcnn.dvs_layer import DVSLayer  # noqa: E402  needs samna's name to exist


def conv(*sizes, **settings):
    return nn.Conv2d(*sizes, bias=False, **settings)


def linear(*sizes):
    return nn.Linear(*sizes, bias=False)


class Residual(nn.Module):
    """Two branches that meet again, merged by a layer or by a plus."""

    def __init__(self, *, plus):
        super().__init__()
        self.first, self.spike1 = conv(2, 4, 3, padding=1), neuron()
        self.second, self.spike2 = conv(4, 4, 3, padding=1), neuron()
        self.pool = nn.AvgPool2d(2)
        self.last, self.spike3 = linear(4 * 4 * 4, 5), neuron()
        self.merge = None if plus else sl.Merge()

    def forward(self, x):
        a = self.spike1(self.first(x))
        b = self.spike2(self.second(a))
        x = self.pool(a + b if self.merge is None else self.merge(a, b))
        return self.spike3(self.last(x.flatten(1)))


class Branches(nn.Module):
    """One layer that sends to two, with a pooling of its own for each; both are outputs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(1, 3, 3, padding=1), neuron())
        self.near = nn.Sequential(nn.AvgPool2d(2), conv(3, 4, 3), neuron())
        self.far = nn.Sequential(sl.SumPool2d(4), conv(3, 2, 2), neuron())

    def forward(self, x):
        x = self.stem(x)
        return self.near(x), self.far(x)


class TwoEntries(nn.Module):
    """Two layers that read the pooled input and meet in a third."""

    def __init__(self):
        super().__init__()
        self.pool, self.merge = sl.SumPool2d(2), sl.Merge()
        self.a, self.s1 = conv(2, 3, 3, padding=1), neuron()
        self.b, self.s2 = conv(2, 3, 1), neuron()
        self.c, self.s3 = conv(3, 2, 3), neuron()

    def forward(self, x):
        x = self.pool(x)
        return self.s3(self.c(self.merge(self.s1(self.a(x)), self.s2(self.b(x)))))


class OwnFlatten(nn.Module):
    """A user's module that only reshapes."""

    def forward(self, x):
        return x.view(x.shape[0], -1)


def chain(*layers):
    return nn.Sequential(*layers)


def nested():
    inner = nn.Sequential(OrderedDict(conv=conv(2, 3, 3), drop=nn.Dropout2d(), spike=neuron()))
    return nn.Sequential(
        OrderedDict(
            body=nn.Sequential(nn.Identity(), inner),
            head=nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 6, 6)), conv(3, 2, 3), neuron()),
        )
    )


EXACT = {
    "a plain chain": (
        lambda: chain(conv(2, 4, 3), neuron(), nn.Flatten(), linear(144, 5), neuron()),
        (2, 8, 8),
        {},
    ),
    "return to zero": (
        lambda: chain(conv(2, 4, 3), neuron(reset_to_zero=True), conv(4, 2, 3), neuron()),
        (2, 8, 8),
        {},
    ),
    "an average pool at the input": (
        lambda: chain(nn.AvgPool2d(2), conv(2, 4, 3), neuron()),
        (2, 12, 12),
        {"1": 4},
    ),
    "two pools at the input": (
        lambda: chain(nn.AvgPool2d(2), nn.Identity(), sl.SumPool2d(2), conv(1, 4, 2), neuron()),
        (1, 16, 16),
        {"3": 4},
    ),
    "two pools in a row": (
        lambda: chain(
            conv(1, 3, 3, padding=1),
            neuron(),
            nn.AvgPool2d(2),
            nn.AvgPool2d(2),
            conv(3, 2, 2),
            neuron(),
        ),
        (1, 13, 13),
        {"4": 16},
    ),
    "an adaptive pool that divides": (
        lambda: chain(
            conv(1, 3, 1), neuron(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), linear(12, 3), neuron()
        ),
        (1, 8, 8),
        {"4": 16},
    ),
    "groups": (lambda: chain(conv(4, 6, 3, groups=2), neuron()), (4, 6, 6), {}),
    "depthwise": (lambda: chain(conv(4, 4, 3, groups=4), neuron()), (4, 6, 6), {}),
    "dilation": (lambda: chain(conv(2, 3, 3, dilation=2), neuron()), (2, 9, 9), {}),
    "padding same": (lambda: chain(conv(2, 3, 3, padding="same"), neuron()), (2, 7, 7), {}),
    "padding same, even kernel": (
        lambda: chain(conv(2, 3, 4, padding="same"), neuron()),
        (2, 7, 7),
        {},
    ),
    "padding same, dilated, oblong": (
        lambda: chain(conv(2, 3, (2, 3), padding="same", dilation=(3, 1)), neuron()),
        (2, 7, 7),
        {},
    ),
    "padding valid": (lambda: chain(conv(2, 3, 3, padding="valid"), neuron()), (2, 7, 7), {}),
    "an oblong kernel": (lambda: chain(conv(2, 3, (1, 3)), neuron()), (2, 7, 7), {}),
    "an oblong kernel with strides": (
        lambda: chain(conv(2, 3, (3, 4), stride=(1, 2), padding=(1, 0)), neuron()),
        (2, 7, 9),
        {},
    ),
    "a linear layer on a high map": (
        lambda: chain(conv(1, 2, 2), neuron(), nn.Flatten(), linear(2 * 7 * 4, 5), neuron()),
        (1, 8, 5),
        {},
    ),
    "a linear layer on a wide map": (
        lambda: chain(conv(1, 2, 2), neuron(), nn.Flatten(), linear(2 * 3 * 8, 5), neuron()),
        (1, 4, 9),
        {},
    ),
    "nested containers and dropout": (nested, (2, 8, 8), {}),
    "a user's own flatten": (
        lambda: chain(conv(2, 2, 3), neuron(), OwnFlatten(), linear(32, 3), neuron()),
        (2, 6, 6),
        {},
    ),
    "a merge": (lambda: Residual(plus=False), (2, 8, 8), {"last": 4}),
    "a plus": (lambda: Residual(plus=True), (2, 8, 8), {"last": 4}),
    "two destinations with their own pooling": (Branches, (1, 12, 12), {"near.1": 4}),
    "two layers at the input": (TwoEntries, (2, 12, 12), {}),
    "a DVS layer": (
        lambda: chain(
            DVSLayer((16, 12), (2, 2), ((1, 7), (0, 5)), flip_x=True, flip_y=False, swap_xy=True),
            conv(2, 3, 2),
            neuron(),
        ),
        (2, 16, 12),
        {},
    ),
    "a DVS layer and a pool": (
        lambda: chain(DVSLayer((16, 16), flip_y=True), nn.AvgPool2d(2), conv(2, 3, 2), neuron()),
        (2, 16, 16),
        {"2": 4},
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("case", EXACT)
def test_a_mended_network_spikes_as_torch_does(case):
    build, shape, factors = EXACT[case]
    network = exact_weights(build(), factors).eval()
    program = convert(network, shape, chip="unbounded")
    assert all(core.scale == 1 for core in program.cores)
    assert_same_spikes(network, program, random_frames(shape))


def test_names_are_those_of_the_users_network():
    network = nested()
    program = convert(network, (2, 8, 8))
    modules = dict(network.named_modules())
    assert [core.name for core in program.cores] == ["body.1.conv", "head.2"]
    assert [core.neuron_name for core in program.cores] == ["body.1.spike", "head.3"]
    assert all(isinstance(modules[core.neuron_name], sl.IAFSqueeze) for core in program.cores)


def test_weight_normed_layers_give_the_weights_they_compute():
    layer = parametrizations.weight_norm(conv(1, 2, 3))
    [core] = convert(chain(layer, neuron(1, -1)), (1, 5, 5)).cores
    effective = layer.weight.detach().numpy()
    assert abs(core.weights / core.scale - effective).max() <= 0.51 / core.scale


def test_the_network_is_left_as_it_was():
    network = chain(nn.AvgPool2d(2), conv(2, 4, 3), neuron(), nn.Flatten(), linear(36, 3), neuron())
    network.train()
    network(torch.ones(2, 2, 10, 10)).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    convert(network, (2, 10, 10))
    assert torch.rand(1) == expected
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_half_precision_becomes_single():
    network = exact_weights(chain(conv(2, 3, 3), neuron()))
    whole = convert(network, (2, 6, 6)).sha256
    assert convert(network.half(), (2, 6, 6)).sha256 == whole


def test_a_non_squeezing_network_converts_like_a_squeezing_one():
    network = exact_weights(chain(conv(2, 3, 3), neuron()))
    unsqueezed = nn.Sequential(
        OrderedDict(
            flat=sl.FlattenTime(),
            conv=network[0],
            back=sl.UnflattenTime(batch_size=4),
            spike=sl.IAF(spike_threshold=200.0, min_v_mem=-300.0),
        )
    )
    repeated = chain(sl.Repeat(network[0]), sl.IAF(spike_threshold=200.0, min_v_mem=-300.0))
    expected = convert(network, (2, 6, 6)).cores[0]
    for variant in (unsqueezed, repeated):
        [core] = convert(variant, (2, 6, 6)).cores
        assert (core.weights == expected.weights).all()
        assert (core.threshold_high, core.threshold_low) == (200, -300)


def test_a_network_that_unpacks_batch_and_time_converts():
    class Unpacking(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.spike = conv(2, 3, 3), neuron()

        def forward(self, x):
            batch, time, *shape = x.shape
            if len(shape) != 3:
                raise ValueError(shape)
            x = self.conv(x.reshape(batch * time, *shape))
            return self.spike(x).unflatten(0, (batch, time)).mean(1)

    network = exact_weights(Unpacking())
    plain = chain(network.conv, network.spike)
    [ours], [theirs] = convert(network, (2, 6, 6)).cores, convert(plain, (2, 6, 6)).cores
    assert (ours.weights == theirs.weights).all()
    assert (ours.name, ours.neuron_name) == ("conv", "spike")


def test_a_network_from_sinabs_conversion_keeps_its_own_names():
    analog = exact_weights(chain(conv(1, 2, 3), nn.ReLU(), nn.Flatten(), linear(18, 3), nn.ReLU()))
    network = sinabs.from_torch.from_model(
        analog, input_shape=(1, 5, 5), batch_size=1, spike_threshold=200.0, min_v_mem=-300.0
    )
    program = convert(network, (1, 5, 5))
    names = dict(network.named_modules())
    assert all(core.name in names and core.neuron_name in names for core in program.cores)
    assert_same_spikes(network, program, random_frames((1, 5, 5), steps=20))


def test_other_spike_and_gradient_functions_are_the_same_to_the_chip():
    plain = exact_weights(chain(conv(1, 2, 3), neuron()))
    other = chain(
        plain[0],
        sl.IAFSqueeze(
            num_timesteps=3,
            spike_threshold=200.0,
            min_v_mem=-300.0,
            spike_fn=SingleSpike,
            surrogate_grad_fn=PeriodicExponential(),
        ),
    )
    assert convert(other, (1, 5, 5)).sha256 == convert(plain, (1, 5, 5)).sha256


class OwnNeuron(sl.IAFSqueeze):
    """sinabs' neurons behind a factor of a user's own."""

    def __init__(self, factor, **settings):
        super().__init__(batch_size=1, **settings)
        self.factor = factor

    def forward(self, values):
        return super().forward(values * self.factor)


def test_a_users_neuron_layer_that_spikes_as_sinabs_layer_is_taken_as_one():
    own = OwnNeuron(1, spike_threshold=200.0, min_v_mem=-300.0)
    plain = exact_weights(chain(conv(1, 2, 3), neuron()))
    assert convert(chain(plain[0], own), (1, 5, 5)).sha256 == convert(plain, (1, 5, 5)).sha256


def test_a_users_neuron_layer_that_spikes_otherwise_is_refused():
    network = chain(conv(1, 2, 3), OwnNeuron(2, spike_threshold=200.0, min_v_mem=-300.0))
    with pytest.raises(ConversionError, match=r"^1: OwnNeuron has a forward pass .* spikes other"):
        convert(network, (1, 5, 5))


def test_constant_tensors_of_thresholds_collapse():
    per_neuron = sl.IAFSqueeze(
        batch_size=1,
        spike_threshold=torch.full((2, 3, 3), 200.0),
        min_v_mem=torch.full((2, 3, 3), -300.0),
    )
    layer = nn.Conv2d(1, 2, 3)
    layer.bias.data.zero_()
    [core] = convert(exact_weights(chain(layer, per_neuron)), (1, 5, 5)).cores
    assert (core.threshold_high, core.threshold_low, core.bias) == (200, -300, None)


def test_an_identity_batch_norm_is_dropped():
    norm = nn.BatchNorm2d(2, eps=0.0)
    network = exact_weights(chain(conv(1, 2, 3), norm, neuron())).eval()
    assert prepare(network, (1, 5, 5)).checks == ()
    assert_same_spikes(network, convert(network, (1, 5, 5)), random_frames((1, 5, 5)))


def test_a_kept_state_becomes_the_initial_state():
    network = exact_weights(chain(conv(1, 2, 3), neuron()))
    network(torch.ones(3, 1, 5, 5))
    state = network[1].v_mem[0].clone()
    assert state.any()
    [core] = convert(network, (1, 5, 5), options=ConversionOptions(keep_state=True)).cores
    assert (torch.tensor(core.initial_state) == state).all()
    assert convert(network, (1, 5, 5)).cores[0].initial_state is None
    checks = prepare(network, (1, 5, 5)).checks
    assert [(check.layer, check.rule) for check in checks] == [("1", "initial state")]


def test_a_missing_lower_bound_is_mended_and_named():
    network = exact_weights(
        chain(conv(1, 2, 3), sl.IAFSqueeze(batch_size=1, spike_threshold=200.0))
    )
    [core] = convert(network, (1, 5, 5)).cores
    assert core.threshold_low == -200
    [check] = prepare(network, (1, 5, 5)).checks
    assert (check.layer, check.severity, check.rule) == ("1", "warning", "min_v_mem")
    with pytest.raises(ConversionError, match=r"^1: min_v_mem is None"):
        convert(network, (1, 5, 5), options=ConversionOptions(mend_min_v_mem=False))


def test_a_bias_is_taken_over_when_allowed():
    network = exact_weights(chain(nn.Conv2d(1, 3, 3), neuron()))
    network[0].bias.data = torch.tensor([5.0, 0.0, -7.0])
    with pytest.raises(ConversionError, match=r"^0: its bias reaches 7 \(0.035 of the threshold\)"):
        convert(network, (1, 5, 5))
    [core] = convert(network, (1, 5, 5), options=ConversionOptions(allow_bias=True)).cores
    assert core.bias.tolist() == [5, 0, -7]


def iaf(**settings):
    return sl.IAFSqueeze(batch_size=1, **({"min_v_mem": -1.0} | settings))


class AddingPotentials(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.spike = conv(1, 2, 3), conv(1, 2, 3), iaf()

    def forward(self, x):
        return self.spike(self.a(x) + self.b(x))


class Doubling(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.s1, self.b, self.s2 = conv(1, 2, 3), iaf(), conv(2, 2, 3), iaf()

    def forward(self, x):
        x = self.s1(self.a(x))
        return self.s2(self.b(x + x))


class UnevenPools(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.s1 = conv(1, 2, 3, padding=1), iaf()
        self.b, self.s2 = conv(2, 2, 3, padding=1, stride=2), iaf()
        self.c, self.s3, self.pool = conv(2, 2, 3), iaf(), nn.AvgPool2d(2)

    def forward(self, x):
        x = self.s1(self.a(x))
        return self.s3(self.c(self.pool(x) + self.s2(self.b(x))))


def shared_weights():
    layer = conv(2, 2, 3, padding=1)
    return chain(layer, iaf(), layer, iaf())


def shared_neurons():
    spike = iaf()
    return chain(conv(2, 2, 3), spike, conv(2, 2, 3), spike)


SPREAD = torch.tensor([1.0, 2.0]).reshape(2, 1, 1)

REFUSED = {
    "batch norm": (
        lambda: chain(conv(2, 2, 3), nn.BatchNorm2d(2), iaf()),
        r"^1: the chip has no BatchNorm2d: fold it first with speckflex fold$",
    ),
    "relu": (
        lambda: chain(conv(2, 2, 3), nn.ReLU(), conv(2, 2, 3), iaf()),
        r"^1: the chip has no ReLU: .*from_torch",
    ),
    "leak": (
        lambda: chain(conv(2, 2, 3), sl.LIFSqueeze(tau_mem=10.0, batch_size=1)),
        r"^1: LIFSqueeze leaks with a time constant, Speck's neurons do not",
    ),
    "synaptic decay": (
        lambda: chain(conv(2, 2, 3), iaf(tau_syn=5.0)),
        r"^1: IAFSqueeze has a synaptic time constant tau_syn",
    ),
    "max pool": (
        lambda: chain(conv(2, 2, 3), iaf(), nn.MaxPool2d(2), conv(2, 2, 3), iaf()),
        r"^2: MaxPool2d is not on the chip, which only sums spikes",
    ),
    "overlapping pool": (
        lambda: chain(conv(2, 2, 3), iaf(), nn.AvgPool2d(3, 2), conv(2, 2, 2), iaf()),
        r"^2: pools \(3, 3\) with stride \(2, 2\)",
    ),
    "padded pool": (
        lambda: chain(conv(2, 2, 3), iaf(), nn.AvgPool2d(2, padding=1), conv(2, 2, 2), iaf()),
        r"^2: pools with padding 1",
    ),
    "pool with a rounded-up edge": (
        lambda: chain(conv(2, 2, 4), iaf(), nn.AvgPool2d(2, ceil_mode=True), conv(2, 2, 2), iaf()),
        r"^2: pools a map of \(5, 5\) by \(2, 2\) with ceil_mode",
    ),
    "adaptive pool that does not divide": (
        lambda: chain(conv(2, 2, 3), iaf(), nn.AdaptiveAvgPool2d(4), conv(2, 2, 2), iaf()),
        r"^2: pools a map of \(6, 6\) to \(4, 4\), which no window divides",
    ),
    "oblong pool": (
        lambda: chain(conv(2, 2, 3), iaf(), nn.AvgPool2d((2, 1)), conv(2, 2, 2), iaf()),
        r"^2: pools by \(2, 1\), but the chip pools only squares",
    ),
    "pool before the neurons": (
        lambda: chain(conv(2, 2, 3), nn.AvgPool2d(2), iaf()),
        r"^1: it pools potentials, but the chip pools spikes: put the pooling after the neurons$",
    ),
    "transposed": (
        lambda: chain(nn.ConvTranspose2d(2, 2, 3, bias=False), iaf()),
        r"^0: the chip has no ConvTranspose2d",
    ),
    "reflecting padding": (
        lambda: chain(conv(2, 2, 3, padding=1, padding_mode="reflect"), iaf()),
        r"^0: the chip has no padding_mode 'reflect'",
    ),
    "bias": (lambda: chain(nn.Conv2d(2, 2, 3), iaf()), r"^0: its bias reaches .* of the threshold"),
    "spread thresholds": (
        lambda: chain(conv(2, 2, 3), iaf(spike_threshold=SPREAD)),
        r"^1: spike_threshold ranges from 1 to 2",
    ),
    "spread lower bounds": (
        lambda: chain(conv(2, 2, 3), iaf(min_v_mem=-SPREAD)),
        r"^1: min_v_mem ranges from -2 to -1",
    ),
    "a positive lower bound": (
        lambda: chain(conv(2, 2, 3), iaf(min_v_mem=0.5)),
        r"^1: min_v_mem 0.5",
    ),
    "no threshold": (
        lambda: chain(conv(2, 2, 3), iaf(spike_threshold=0.0)),
        r"^1: spike_threshold 0 is not above 0",
    ),
    "no neurons in between": (
        lambda: chain(conv(2, 2, 3), conv(2, 2, 3), iaf()),
        r"^0: no neuron layer lies between it and 1",
    ),
    "neurons alone": (
        lambda: chain(iaf(), conv(2, 2, 3), iaf()),
        r"^0: no weight layer comes before it",
    ),
    "no weights": (lambda: chain(nn.Flatten()), r"^the network: it has no weight layer"),
    "added potentials": (AddingPotentials, r"^spike: it reads a sum of potentials"),
    "a doubled layer": (Doubling, r"^b: it merges the network's input with spikes, or one layer"),
    "merged uneven pools": (
        UnevenPools,
        r"^c: it reads a merge of average pools with the factors \[0.25, 1.0\]",
    ),
    "shared weights": (shared_weights, r"^0: it is called 2 times"),
    "shared neurons": (shared_neurons, r"^1: it is called 2 times"),
    "another reset": (
        lambda: chain(conv(2, 2, 3), iaf(reset_fn=print)),
        r"^1: the chip has no reset_fn builtin_function_or_method",
    ),
    "another spike function": (
        lambda: chain(conv(2, 2, 3), iaf(spike_fn=None)),
        r"^1: the chip has no spike_fn NoneType: use MultiSpike$",
    ),
    "a tiny threshold": (
        lambda: exact_weights(chain(conv(2, 2, 3), iaf(spike_threshold=0.4, min_v_mem=-300.0))),
        r"^1: its threshold becomes 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_chip_can_not_do_is_refused_by_name(case):
    build, message = REFUSED[case]
    shape = (1, 8, 8) if isinstance(build, type) else (2, 8, 8)
    with pytest.raises(ConversionError, match=message) as caught:
        convert(build(), shape)
    assert "\n" not in str(caught.value)


def test_all_problems_are_listed_at_once():
    network = chain(
        nn.Conv2d(2, 2, 3),
        nn.BatchNorm2d(2),
        sl.LIFSqueeze(tau_mem=10.0, batch_size=1),
        nn.MaxPool2d(2),
        conv(2, 2, 3, padding=1, padding_mode="circular"),
        iaf(reset_fn=MembraneReset(), spike_threshold=SPREAD),
    )
    with pytest.raises(ConversionError) as caught:
        convert(network, (2, 10, 10))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [*"123450"]
    assert str(caught.value) == "; ".join(caught.value.problems)


def test_an_input_that_does_not_pass_is_named():
    with pytest.raises(ConversionError, match=r"shape \(3, 8, 8\) \(channel, y, x\) does not pass"):
        convert(chain(conv(2, 2, 3), iaf()), (3, 8, 8))


def test_a_pool_after_the_last_neurons_is_left_out_and_told():
    network = exact_weights(chain(conv(2, 2, 3), neuron(), nn.AvgPool2d(2)))
    bare = chain(network[0], network[1])
    assert convert(network, (2, 6, 6)).sha256 == convert(bare, (2, 6, 6)).sha256
    [check] = prepare(network, (2, 6, 6)).checks
    assert (check.layer, check.severity, check.rule) == ("2", "note", "end")


def test_another_layer_at_the_end_is_left_out_with_a_warning():
    network = chain(conv(2, 2, 3), nn.Flatten(), nn.Softmax(1))
    [check] = prepare(network, (2, 6, 6)).checks
    assert (check.layer, check.severity, check.rule) == ("2", "warning", "end")


@pytest.mark.parametrize("shape", [(8, 8), "abc", (2, 0, 8), None, (2, 8, 8, 8)])
def test_an_input_shape_that_is_none_is_refused(shape):
    with pytest.raises(ConversionError, match=r"input_shape .* is not \(channel, y, x\)"):
        convert(chain(conv(2, 2, 3), iaf()), shape)


def test_sizes_from_numpy_or_a_list_are_taken_as_integers():
    network = exact_weights(chain(conv(2, 2, 3), neuron()))
    expected = convert(network, (2, 6, 6)).sha256
    assert convert(network, list(np.array([2, 6, 6]))).sha256 == expected


def test_what_is_no_network_is_refused():
    with pytest.raises(ConversionError, match="the network is a builtin_function_or_method"):
        convert(print, (2, 8, 8))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bad):
    network = chain(conv(2, 2, 3), iaf())
    network[0].weight.data[0, 0, 0, 0] = bad
    with pytest.raises(
        ConversionError, match=r"^0: its weights have values that are infinite or NaN"
    ):
        convert(network, (2, 8, 8))
