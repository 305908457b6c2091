"""The fused IF neuron against sinabs' own, which is the truth here."""

import copy
import io
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sinabs import reset_states as sinabs_reset_states
from sinabs.activation import (
    Gaussian,
    Heaviside,
    MaxSpike,
    MembraneReset,
    MembraneSubtract,
    MultiGaussian,
    MultiSpike,
    PeriodicExponential,
    SingleExponential,
    SingleSpike,
)
from sinabs.hooks import firing_rate_hook, register_synops_hooks
from sinabs.layers import IAF, IAFSqueeze, StatefulLayer
from sinabs.network import Network
from torch import nn

from speckflex.kernels import by_sample
from speckflex.networks.neurons import FusedIAFSqueeze, Triangular, fused_neurons

SPIKES = [MultiSpike, SingleSpike, MaxSpike(2), MaxSpike()]
RESETS = [MembraneSubtract(), MembraneSubtract(0.5), MembraneReset(), MembraneReset(-0.3)]
SURROGATES = [
    SingleExponential(),
    SingleExponential(0.2, 3.0),
    Triangular(),
    Triangular(2.0),
    Heaviside(0.4),
    Gaussian(),
    MultiGaussian(),
    PeriodicExponential(),
]
BOUNDS = [None, -1.0, 0.0]


def pair(**options) -> tuple[IAFSqueeze, FusedIAFSqueeze]:
    """Return sinabs' layer and the fused one, with the same settings."""
    options = {"batch_size": 3, "spike_threshold": torch.tensor(0.8), **options}
    return IAFSqueeze(**copy.deepcopy(options)), FusedIAFSqueeze(**copy.deepcopy(options))


def is_fused(layer: IAFSqueeze) -> bool:
    return type(layer.v_mem.grad_fn).__name__ == "_IntegrateAndFireBackward"


def run(layer: IAFSqueeze, seed: int, shape=(3, 7, 2, 3), dtype=torch.float32):
    """Return spikes, last state and the gradients by input and initial state."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=dtype)

    batch, steps, *neurons_shape = shape
    current = (1.3 * normal(batch * steps, *neurons_shape)).requires_grad_()
    initial = normal(batch, *neurons_shape).requires_grad_()
    layer.v_mem = initial
    spikes = layer(current)
    loss = (spikes * normal(*spikes.shape)).sum() + (layer.v_mem * normal(*initial.shape)).sum()
    loss.backward()
    return spikes, layer.v_mem, current.grad, initial.grad


@pytest.mark.parametrize("reset_fn", RESETS, ids=str)
@pytest.mark.parametrize("spike_fn", SPIKES, ids=str)
def test_spikes_and_states_are_sinabs_bit_by_bit_and_gradients_to_1e_5(spike_fn, reset_fn):
    for seed, (surrogate, bound) in enumerate(product(SURROGATES, BOUNDS)):
        theirs, ours = pair(
            spike_fn=spike_fn, reset_fn=reset_fn, surrogate_grad_fn=surrogate, min_v_mem=bound
        )
        expected, actual = run(theirs, seed), run(ours, seed)
        assert is_fused(ours)
        assert not is_fused(theirs)
        for exact in (0, 1):
            assert torch.equal(actual[exact], expected[exact])
        for close in (2, 3):
            torch.testing.assert_close(actual[close], expected[close], rtol=1e-5, atol=1e-5)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(1, 40)),
    st.floats(0.125, 4),
    st.integers(0, 10_000),
)
def test_any_shape_and_threshold_agrees_with_sinabs(shape, threshold, seed):
    theirs, ours = pair(
        batch_size=shape[0], spike_threshold=torch.tensor(threshold), min_v_mem=-threshold
    )
    for actual, expected in zip(run(ours, seed, shape), run(theirs, seed, shape), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("surrogate", SURROGATES, ids=str)
def test_double_precision_agrees_with_sinabs(surrogate):
    # sinabs' spikes are single precision even here; this threshold's multiples are exact in it.
    threshold = torch.tensor(0.75)
    theirs, ours = pair(surrogate_grad_fn=surrogate, spike_threshold=threshold, min_v_mem=-1.0)
    expected, actual = run(theirs, 1, dtype=torch.float64), run(ours, 1, dtype=torch.float64)
    assert is_fused(ours)
    assert actual[0].dtype == torch.float64
    for ours_value, theirs_value in zip(actual, expected, strict=True):
        torch.testing.assert_close(
            ours_value, theirs_value, rtol=1e-6, atol=1e-6, check_dtype=False
        )


def test_the_gradient_between_spikes_is_the_true_derivative():
    """Far below threshold no spike changes, and a surrogate of zero leaves the exact part."""
    _, layer = pair(batch_size=1, surrogate_grad_fn=SingleExponential(grad_scale=0.0))
    layer.spike_threshold.data.fill_(100.0)

    def last_state(current: torch.Tensor, initial: torch.Tensor) -> torch.Tensor:
        layer.v_mem = initial
        layer(current)
        return layer.v_mem

    generator = torch.Generator().manual_seed(0)
    current = torch.randn(6, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    initial = torch.randn(1, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(last_state, (current, initial))


def test_the_triangular_surrogate_follows_its_formula():
    potentials = torch.linspace(-1, 3, 41)
    expected = [max(0.0, 2 - abs(v - 0.8)) / 4 for v in potentials.tolist()]
    torch.testing.assert_close(
        Triangular(2.0)(potentials, torch.tensor(0.8)), torch.tensor(expected)
    )


@pytest.mark.parametrize("h", [0.25, 0.5, 1.0, 3.0])
def test_the_area_under_the_triangular_surrogate_is_one(h):
    potentials = torch.linspace(-4, 6, 10_001, dtype=torch.float64)
    slopes = Triangular(h)(potentials, torch.tensor(1.0, dtype=torch.float64))
    assert float(torch.trapezoid(slopes, potentials)) == pytest.approx(1.0, abs=1e-4)
    assert float(slopes.max()) == pytest.approx(1 / h, rel=1e-3)


@pytest.mark.parametrize("x", [-1e-6, -0.3, -2.0, -17.0, -60.0, -300.0])
def test_the_surrogate_of_far_potentials_keeps_its_precision(x):
    _, ours = pair(batch_size=1, spike_threshold=torch.tensor(1.0))
    current = torch.tensor([[1.0 + x / 2]], requires_grad=True)
    ours(current).sum().backward()
    width = 0.5
    expected = np.exp((current.detach().item() - 1.0) / width) / width
    assert current.grad.item() == pytest.approx(expected, rel=1e-5, abs=1e-35)


def test_states_carry_over_between_calls_like_sinabs():
    theirs, ours = pair(batch_size=1)
    frames = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    for layer in (theirs, ours):
        layer(frames)
    assert torch.equal(ours(frames), theirs(frames))
    assert torch.equal(ours.v_mem, theirs.v_mem)
    ours.reset_states()
    assert not ours.v_mem.any()


def test_a_new_batch_or_shape_changes_the_state_as_in_sinabs():
    theirs, ours = pair(batch_size=None, num_timesteps=2, min_v_mem=-1.0)
    for shape in [(6, 4), (2, 4), (8, 4), (4, 3), (4, 3, 2)]:
        outputs = []
        for layer in (theirs, ours):
            torch.manual_seed(0)
            outputs.append(layer(torch.rand(shape, generator=torch.Generator().manual_seed(1))))
        assert torch.equal(*outputs)
        assert torch.equal(theirs.v_mem, ours.v_mem)


def halve(spikes: torch.Tensor, state: dict, threshold: torch.Tensor) -> dict:
    """Halve every potential at every step, as no reset of sinabs' own does."""
    return {**state, "v_mem": state["v_mem"] * 0.5}


@pytest.mark.parametrize(
    "options",
    [
        {"record_states": True},
        {"tau_syn": 5.0},
        {"spike_threshold": torch.tensor([0.5, 1.0, 1.5])},
        {"spike_threshold": torch.tensor(-0.5), "min_v_mem": -3.0},
        {"min_v_mem": torch.tensor([-0.5, -1.0, -1.5])},
        {"surrogate_grad_fn": lambda v, threshold: 1 / (1 + (v - threshold).abs())},
        {"reset_fn": halve},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_the_kernel_does_not_know_runs_on_sinabs_loop(options):
    theirs, ours = IAFSqueeze(batch_size=3, **options), FusedIAFSqueeze(batch_size=3, **options)
    current = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(current.requires_grad_()), theirs(current))
    assert not is_fused(ours)
    assert ours.recordings.keys() == theirs.recordings.keys()


def test_a_threshold_that_learns_gets_its_gradient():
    theirs, ours = pair()
    for layer in (theirs, ours):
        layer.spike_threshold.requires_grad_(True)
    run(theirs, 0)
    run(ours, 0)
    assert torch.equal(ours.spike_threshold.grad, theirs.spike_threshold.grad)


def test_an_empty_batch_is_not_the_kernels_business():
    _, ours = pair(batch_size=3, num_timesteps=2)
    assert ours(torch.zeros(6, 0)).shape == (6, 0)


def test_non_numbers_stay_visible():
    _, ours = pair(batch_size=1, min_v_mem=-1.0)
    spikes = ours(torch.tensor([[0.0], [float("nan")], [0.0]]))
    assert spikes.isnan().flatten().tolist() == [False, True, True]
    assert ours.v_mem.isnan().all()


def test_mixed_precision_input_is_computed_in_the_states_precision():
    theirs, ours = pair(batch_size=1)
    current = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(ours(current), theirs(current))
    assert ours.v_mem.dtype == theirs.v_mem.dtype == torch.float32


def test_memory_layout_of_the_input_does_not_matter():
    _, ours = pair(batch_size=2)
    frames = torch.rand(8, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = ours(frames)
    ours.reset_states()
    assert torch.equal(ours(frames.to(memory_format=torch.channels_last)), expected)


def test_the_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(by_sample, "VALUES_PER_THREAD", 10)
    _, ours = pair(batch_size=5, min_v_mem=-1.0)
    results = []
    before = torch.get_num_threads()
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        results.append(run(ours, 0, (5, 4, 6)))
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_inference_keeps_no_potentials():
    _, ours = pair()
    with torch.no_grad():
        spikes = ours(torch.rand(6, 4, generator=torch.Generator().manual_seed(0)))
    assert spikes.grad_fn is None
    assert ours.v_mem.grad_fn is None
    assert float(ours.firing_rate) == pytest.approx(float(spikes.mean()))


def test_second_derivatives_are_refused_rather_than_wrong():
    _, ours = pair(batch_size=1)
    current = torch.rand(3, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad((ours(current) ** 2).sum(), current, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_it_is_a_sinabs_layer_to_everyone_who_looks():
    theirs, ours = pair(min_v_mem=-1.0, num_timesteps=2)
    assert isinstance(ours, (IAF, StatefulLayer))
    assert isinstance(ours, IAFSqueeze)
    assert ours.does_spike
    assert ours.arg_dict.keys() == theirs.arg_dict.keys()
    assert repr(ours) == repr(theirs).replace("IAFSqueeze", "FusedIAFSqueeze")
    ours.load_state_dict(theirs.state_dict())
    frames = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    clone = copy.deepcopy(ours)
    assert type(clone) is FusedIAFSqueeze
    assert torch.equal(clone(frames), theirs(frames))
    network = nn.Sequential(ours)
    network(frames)
    sinabs_reset_states(network)
    assert not ours.v_mem.any()


def test_sinabs_network_and_its_hooks_count_its_operations():
    frames = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    totals = []
    for layer in pair(batch_size=1):
        torch.manual_seed(0)
        spiking = nn.Sequential(nn.Linear(4, 5, bias=False), layer, nn.Linear(5, 2, bias=False))
        register_synops_hooks(spiking)
        layer.register_forward_hook(firing_rate_hook)
        with torch.no_grad():
            Network(spiking_model=spiking)(5 * frames)
        counts = (layer.hook_data["firing_rate"], spiking.hook_data["total_synops_per_timestep"])
        totals.append([count.item() for count in counts])
    assert totals[0] == totals[1]
    assert min(totals[0]) > 0


def test_a_file_holds_tensors_numbers_and_sinabs_functions_only():
    _, ours = pair(min_v_mem=-1.0, reset_fn=MembraneReset(0.5))
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    allowed = [
        *(FusedIAFSqueeze, MultiSpike, MembraneReset, SingleExponential),
        *(set, torch.nn.parameter.Parameter),
    ]
    with torch.serialization.safe_globals(allowed):
        loaded = torch.load(file, weights_only=True)
    assert type(loaded) is FusedIAFSqueeze
    assert loaded.reset_fn == MembraneReset(0.5)
    assert all(torch.equal(*values) for values in zip(run(loaded, 3), run(ours, 3), strict=True))


def test_plain_layers_are_fused_while_the_context_lasts():
    plain, subclass = pair(batch_size=1)
    network = nn.Sequential(nn.Linear(3, 3), plain, nn.Sequential(subclass))
    frames = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    with fused_neurons(network):
        assert type(plain) is FusedIAFSqueeze
        output = network(frames)
    assert is_fused(plain)
    output.sum().backward()
    assert type(plain) is IAFSqueeze
    assert type(subclass) is FusedIAFSqueeze
    sinabs_reset_states(network)
    assert torch.equal(network(frames), output)


def test_layers_are_plain_again_after_an_error():
    network = nn.Sequential(IAFSqueeze(batch_size=2))
    with pytest.raises(RuntimeError, match="invalid"), fused_neurons(network):
        network(torch.zeros(3, 2))
    assert type(network[0]) is IAFSqueeze
