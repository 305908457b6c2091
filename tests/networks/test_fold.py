"""Folding against a computation of its own: the same network, means and biases set to zero."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sinabs import layers as sl
from torch import nn
from torch.nn import functional

from speckflex.errors import NetworkError
from speckflex.networks.fold import fold_batchnorm, fold_with_report, prove_folding
from speckflex.networks.paper import NETWORKS

SIDE = 12


def _randomise(norm: nn.Module, seed: int = 0) -> nn.Module:
    """Give a norm statistics and an affine part far from where it starts."""
    generator = torch.Generator().manual_seed(seed)
    norm.running_mean.normal_(generator=generator)
    norm.running_var.uniform_(1e-5, 2.0, generator=generator)
    if norm.affine:
        norm.weight.data.normal_(generator=generator)
        norm.bias.data.normal_(generator=generator)
    return norm


def _centred_norm(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return `x * gamma / sqrt(var + eps)` per channel, straight from the formula."""
    gain = 1 / torch.sqrt(norm.running_var.double() + norm.eps)
    if norm.affine:
        gain = gain * norm.weight.double()
    return x * gain.reshape(1, -1, *[1] * (x.ndim - 2))


def _conv(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    return functional.conv2d(
        x, conv.weight.double(), None, conv.stride, conv.padding, conv.dilation, conv.groups
    )


def _events(*shape: int) -> torch.Tensor:
    return torch.poisson(
        torch.full(shape, 0.5), generator=torch.Generator().manual_seed(3)
    ).double()


def _assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    scale = float(expected.abs().max())
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6 * max(scale, 1e-30))


POOLS = {
    "none": nn.Identity,
    "average": lambda: nn.AvgPool2d(2),
    "average with padding": lambda: nn.AvgPool2d(3, 2, padding=1),
    "sum": lambda: sl.SumPool2d(2),
    "dropout": lambda: nn.Dropout(0.5),
}


@settings(max_examples=60)
@given(
    groups=st.integers(1, 3),
    per_group=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    bias=st.booleans(),
    affine=st.booleans(),
    eps=st.sampled_from([0.0, 1e-5, 1e-3, 0.5]),
    pool=st.sampled_from(sorted(POOLS)),
    seed=st.integers(0, 1000),
)
def test_folded_conv_is_the_formula_without_mean_and_bias(  # noqa: PLR0917 - drawn by hypothesis
    groups, per_group, kernel, stride, padding, bias, affine, eps, pool, seed
):
    torch.manual_seed(seed)
    inputs, outputs = (groups * count for count in per_group)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
    norm = _randomise(nn.BatchNorm2d(outputs, eps=eps, affine=affine), seed)
    network = nn.Sequential(conv, POOLS[pool](), norm).eval()
    x = _events(2, inputs, SIDE, SIDE)
    expected = _centred_norm(norm, network[1](_conv(conv, x)))
    folded = fold_batchnorm(network)
    _assert_close(folded.double()(x), expected.detach())
    assert folded[0].bias is None
    assert type(folded[2]) is nn.Identity


@settings(max_examples=25)
@given(
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    bias=st.booleans(),
    affine=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_folded_linear_is_the_formula_without_mean_and_bias(sizes, bias, affine, seed):
    torch.manual_seed(seed)
    linear = nn.Linear(*sizes, bias=bias)
    norm = _randomise(nn.BatchNorm1d(sizes[1], affine=affine), seed)
    x = _events(5, sizes[0])
    expected = _centred_norm(norm, x @ linear.weight.double().T)
    folded = fold_batchnorm(nn.Sequential(linear, norm)).double()
    _assert_close(folded(x), expected.detach())


def test_two_norms_in_a_row_multiply():
    norms = [_randomise(nn.BatchNorm2d(3), seed) for seed in (1, 2)]
    conv = nn.Conv2d(2, 3, 3)
    x = _events(1, 2, SIDE, SIDE)
    expected = _centred_norm(norms[1], _centred_norm(norms[0], _conv(conv, x)))
    folded, report = fold_with_report(nn.Sequential(conv, *norms))
    _assert_close(folded.double()(x), expected.detach())
    assert [layer.norms for layer in report.layers] == [("1", "2")]


class _Residual(nn.Module):
    """Two branches with norms that meet, inside a user's own module."""

    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), _randomise(nn.BatchNorm2d(4), 1))
        self.right = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(2, 4, 1), norm=_randomise(nn.BatchNorm2d(4), 2))
        )
        self.merge = sl.Merge()
        self.spike = sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)

    def forward(self, x):
        return self.spike(self.merge(self.left(x), self.right(x)))


def _deep() -> nn.Sequential:
    """Nested containers, every place a norm may have, neurons with other thresholds."""
    torch.manual_seed(5)
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.AvgPool2d(2), _Residual()),
            body=nn.Sequential(
                nn.Conv2d(4, 6, 3, bias=False),
                nn.AvgPool2d(2),
                nn.Dropout2d(0.2),
                _randomise(nn.BatchNorm2d(6), 3),
                sl.IAFSqueeze(batch_size=1, spike_threshold=torch.tensor(0.5)),
            ),
            head=nn.Sequential(
                nn.Flatten(),
                nn.Linear(24, 5),
                _randomise(nn.BatchNorm1d(5, affine=False), 4),
                sl.IAFSqueeze(batch_size=1, spike_threshold=torch.rand(5) + 0.5),
                nn.Linear(5, 3),
            ),
        )
    )


def test_nested_and_branching_networks_keep_names_modes_and_originals():
    network = _deep()
    network.body.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold_batchnorm(network, input_shape=(2, SIDE, SIDE))
    assert [(name, module.training) for name, module in folded.named_modules()] == [
        (name, module.training) for name, module in network.named_modules()
    ]
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key])
    assert not [key for key, _ in folded.named_parameters() if "bias" in key]
    assert not [key for key, _ in folded.named_buffers() if "running" in key]


def test_folding_gives_the_spikes_of_the_mean_zero_bias_zero_network():
    network = _deep().eval()
    reference = _deep().eval()
    for module in reference.modules():
        if getattr(module, "bias", None) is not None:
            module.bias.data.zero_()
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.zero_()
    x = _events(6, 2, SIDE, SIDE).float()
    with torch.no_grad():
        torch.testing.assert_close(fold_batchnorm(network)(x), reference(x), rtol=1e-4, atol=1e-5)


def test_the_report_measures_what_was_dropped_in_thresholds():
    conv, norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, eps=0.0)
    conv.bias.data = torch.tensor([1.0, -2.0])
    norm.running_mean.copy_(torch.tensor([0.5, 1.0]))
    norm.running_var.copy_(torch.tensor([0.25, 4.0]))
    norm.weight.data, norm.bias.data = torch.tensor([1.0, 3.0]), torch.tensor([0.1, -0.2])
    spike = sl.IAFSqueeze(batch_size=1, spike_threshold=torch.tensor(0.5))
    network = nn.Sequential(OrderedDict(conv=conv, pool=sl.SumPool2d(2), norm=norm, spike=spike))
    report = fold_with_report(network)[1]
    # Gains 2 and 1.5; a bias counts four times behind the sum pool, and twice for a threshold 0.5.
    dropped = np.abs([0.1 - 0.5 * 2 + 4 * 2, -0.2 - 1.5 - 2 * 1.5 * 4]) * 2
    (layer,) = report.layers
    assert (layer.layer, layer.norms, layer.neuron) == ("conv", ("norm",), "spike")
    assert (layer.channels, layer.threshold) == (2, 0.5)
    np.testing.assert_allclose([layer.gain_min, layer.gain_max], [1.5, 2.0])
    np.testing.assert_allclose(
        [layer.dropped_mean, layer.dropped_max], [dropped.mean(), dropped.max()], rtol=1e-6
    )


def test_the_report_is_plain_json():
    report = fold_with_report(_deep())[1].to_dict()
    assert json.loads(json.dumps(report)) == report
    layers = [layer["layer"] for layer in report["layers"]]
    assert layers == ["stem.1.left.0", "stem.1.right.conv", "body.0", "head.1", "head.4"]


def test_a_bias_without_a_norm_is_dropped_and_reported():
    network = nn.Sequential(nn.Linear(3, 2), sl.IAFSqueeze(batch_size=1))
    folded, report = fold_with_report(network)
    assert folded[0].bias is None
    torch.testing.assert_close(folded[0].weight, network[0].weight, rtol=0, atol=0)
    assert report.layers[0].norms == ()
    assert report.layers[0].dropped_max == pytest.approx(
        float(network[0].bias.detach().abs().max())
    )


def test_a_bias_of_zeros_goes_without_a_word():
    network = nn.Sequential(nn.Linear(3, 2))
    network[0].bias.data.zero_()
    folded, report = fold_with_report(network)
    assert folded[0].bias is None
    assert report.layers == ()


def test_a_network_with_nothing_to_fold_comes_back_as_a_copy():
    network = NETWORKS["nmnist-3c1fc"]()
    folded, report = fold_with_report(network)
    assert report.layers == ()
    assert folded is not network
    for key, value in network.state_dict().items():
        torch.testing.assert_close(folded.state_dict()[key], value, rtol=0, atol=0)


def test_a_variance_of_zero_folds_by_its_eps():
    norm = nn.BatchNorm2d(2, eps=1e-4)
    norm.running_var.zero_()
    conv = nn.Conv2d(1, 2, 3, bias=False)
    folded = fold_batchnorm(nn.Sequential(conv, norm))
    torch.testing.assert_close(folded[0].weight, 100 * conv.weight)


def test_what_does_not_train_does_not_train_after_folding():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3))
    network[0].weight.requires_grad_(requires_grad=False)
    folded = fold_batchnorm(network)
    assert [folded[0].weight.requires_grad, folded[2].weight.requires_grad] == [False, True]


def test_a_network_with_a_time_axis_folds_and_is_proved():
    network = nn.Sequential(
        sl.Repeat(nn.Conv2d(2, 4, 3)), sl.Repeat(_randomise(nn.BatchNorm2d(4))), sl.IAF()
    )
    fold_batchnorm(network, input_shape=(2, SIDE, SIDE))


class _Shared(nn.Module):
    """One convolution that feeds a norm and something else."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.conv(x)
        return self.norm(x) + x


class _Twice(nn.Module):
    """One convolution that is called twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.norm(self.conv(self.conv(x)))


class _Branches(nn.Module):
    """A forward pass that depends on values."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.norm(self.conv(x)) if x.sum() > 0 else x


class _Functional(nn.Module):
    """A layer whose weights are used without calling it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.norm(functional.conv2d(x, self.conv.weight, self.conv.bias))


class _Merged(nn.Module):
    """A norm after a merge."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.norm = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)
        self.merge = sl.Merge()

    def forward(self, x):
        return self.norm(self.merge(self.one(x), self.two(x)))


def _spiking() -> nn.Module:
    return sl.IAFSqueeze(batch_size=1)


def _norm(**values: float) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(2, eps=values.pop("eps", 1e-5))
    for key, value in values.items():
        getattr(norm, key).data.fill_(value)
    return norm


REFUSED = {
    "first": (lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3)), "norm 0 .*no weight"),
    "after neurons": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), _spiking(), nn.BatchNorm2d(2)),
        "norm 2 .*follows the neurons 1",
    ),
    "after ReLU": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)),
        r"norm 2 .*1 \(ReLU\) lies between",
    ),
    "after max pooling": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2), nn.BatchNorm2d(2)),
        r"norm 2 .*1 \(MaxPool2d\) lies between",
    ),
    "after a norm of power 2": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.LPPool2d(2, 2), nn.BatchNorm2d(2)),
        r"norm 2 .*1 \(LPPool2d\) lies between",
    ),
    "after a merge": (_Merged, r"norm norm .*merge \(Merge\) lies between"),
    "two consumers": (_Shared, "norm norm can't be folded: conv feeds norm, add"),
    "called twice": (_Twice, "norm norm can't be folded: its layer conv is used at 2 places"),
    "not traceable": (_Branches, "_Branches can't be traced"),
    "functional": (_Functional, r"layer conv \(Conv2d\) has its tensor conv.weight used outside"),
    "no statistics": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)),
        "norm 1 keeps no running statistics",
    ),
    "flattened": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 11), nn.Flatten(), nn.BatchNorm1d(8)),
        "norm 2 has 8 features, but its weight layer 0 has 2 channels",
    ),
    "nan": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), _norm(running_var=float("nan"))),
        "channel 0",
    ),
    "infinite mean": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), _norm(running_mean=float("inf"))),
        "norm 1 has no finite gain in channel 0: .*running_mean inf",
    ),
    "negative variance": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), _norm(running_var=-1.0)),
        "running_var -1.0",
    ),
    "zero variance, no eps": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), _norm(running_var=0.0, eps=0.0)),
        "eps 0.0",
    ),
    "overflow": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), _norm(running_var=0.0, eps=1e-90)),
        "layer 0 has weights that are not finite after folding",
    ),
    "threshold of zero": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 2, 3), _norm(), sl.IAFSqueeze(batch_size=1, spike_threshold=0.0)
        ),
        "neurons 2 have a threshold of 0.0",
    ),
    "group norm": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.GroupNorm(1, 2)),
        r"layer 1 \(GroupNorm\) keeps its bias",
    ),
    "a layer alone": (lambda: nn.Conv2d(2, 2, 3), r"the network itself \(Conv2d\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_norm_that_nothing_can_absorb_is_refused_by_name(case):
    make, message = REFUSED[case]
    with pytest.raises(NetworkError, match=message) as caught:
        fold_batchnorm(make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gesture-4c2fc", "nmnist-3c1fc"])
def test_the_papers_networks_are_proved(name):
    torch.manual_seed(1)
    network = NETWORKS[name](batch_norm=True)
    for index, module in enumerate(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            _randomise(module, index)
    folded = fold_batchnorm(network)
    assert prove_folding(network, folded, input_shape=NETWORKS[name].input_shape) < 1e-6


def _folded_pair() -> tuple[nn.Module, nn.Module]:
    network = _deep()
    return network, fold_batchnorm(network)


@pytest.mark.parametrize("layer", ["stem.1.left.0", "body.0", "head.4"])
def test_the_proof_notices_a_weight_that_is_off_by_a_ten_thousandth(layer):
    network, folded = _folded_pair()
    weight = folded.get_submodule(layer).weight
    weight.data.flatten()[weight.abs().argmax()] *= 1.0001
    with pytest.raises(NetworkError, match="differs from its bias-free original"):
        prove_folding(network, folded, input_shape=(2, SIDE, SIDE))


def test_the_proof_notices_what_is_not_a_number():
    network, folded = _folded_pair()
    folded.get_submodule("head.4").weight.data[0, 0] = float("nan")
    with pytest.raises(NetworkError, match="its output"):
        prove_folding(network, folded, input_shape=(2, SIDE, SIDE))


def test_the_proof_notices_another_threshold():
    network, folded = _folded_pair()
    folded.get_submodule("body.4").spike_threshold.data.fill_(0.6)
    with pytest.raises(NetworkError, match=r"neurons body.4 changed their spike_threshold"):
        prove_folding(network, folded, input_shape=(2, SIDE, SIDE))


def test_the_proof_notices_a_bias_that_is_left():
    network, folded = _folded_pair()
    folded.get_submodule("head.4").bias = nn.Parameter(torch.zeros(3))
    with pytest.raises(NetworkError, match=r"layer head.4 \(Linear\) keeps its bias"):
        prove_folding(network, folded, input_shape=(2, SIDE, SIDE))


def test_the_proof_notices_a_layer_that_folding_would_have_left_out():
    network, folded = _folded_pair()
    with pytest.raises(NetworkError, match="folding must keep them"):
        prove_folding(network, nn.Sequential(folded), input_shape=(2, SIDE, SIDE))


def test_the_proof_on_a_wrong_input_shape_is_one_line():
    network, folded = _folded_pair()
    with pytest.raises(NetworkError, match="check the input shape") as caught:
        prove_folding(network, folded, input_shape=(3, SIDE, SIDE))
    assert "\n" not in str(caught.value)


def test_the_proof_repeats_itself_and_leaves_both_networks_as_they_were():
    network, folded = _folded_pair()
    results = {prove_folding(network, folded, input_shape=(2, SIDE, SIDE), seed=4) for _ in "ab"}
    assert len(results) == 1
    assert network.training
    assert not any(module._forward_hooks for module in (*network.modules(), *folded.modules()))
    assert {value.dtype for value in folded.parameters()} == {torch.float32}


def test_a_network_on_the_meta_device_is_refused_in_one_line():
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(2, 1, 1), nn.BatchNorm2d(1))
    with pytest.raises(NetworkError, match=r"has 0\.weight on torch's meta device.*to_empty"):
        fold_batchnorm(network)
