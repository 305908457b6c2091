"""The fused leaky neuron against the formulas of spikingjelly's LIFNode, step by step."""

import copy
import itertools

import pytest
import torch
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.files import load_network, save_network
from speckflex.networks.leaky import LeakySqueeze, _run_loop
from speckflex.networks.torch_file import read_torch_file


class Fire(torch.autograd.Function):
    """A step at 0 whose gradient is a triangle of area 1 from -h to h."""

    @staticmethod
    def forward(ctx, x, h):
        ctx.save_for_backward(x)
        ctx.h = h
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * torch.clamp(ctx.h - x.abs(), min=0) / ctx.h**2, None


def lif_node(currents, v, *, tau, threshold=1.0, h=1.0):
    """Run spikingjelly's LIFNode with decay_input=False, v_reset=0 and detach_reset=False.

    Its charge is v - (v - v_reset) / tau + x and its hard reset (1 - s) v + s v_reset. It fires
    at the threshold too, which random floats never meet.
    """
    spikes = []
    for x in currents.unbind(1):
        charged = v - v / tau + x
        spike = Fire.apply(charged - threshold, h)
        v = (1 - spike) * charged
        spikes.append(spike)
    return torch.stack(spikes, 1), v


def normal(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=dtype) + 0.4


@pytest.mark.parametrize(
    ("leak", "threshold", "h", "steps"),
    [(0.5, 1.0, 1.0, 6), (0.0, 1.0, 1.0, 3), (1.0, 0.7, 0.5, 9), (0.99, 1.3, 2.0, 1)],
)
def test_spikes_states_and_gradients_are_those_of_a_plain_loop(leak, threshold, h, steps):
    tau = 1 / (1 - leak) if leak < 1 else float("inf")
    layer = LeakySqueeze(batch_size=3, leak=leak, threshold=threshold, h=h)
    start = normal(3, 2, 5)
    currents = normal(3, steps, 2, 5)
    weights, of_state = normal(3, steps, 2, 5), normal(3, 2, 5)
    results = []
    for run in ("fused", "plain", "loop"):
        x, v = currents.clone().requires_grad_(), start.clone().requires_grad_()
        if run == "fused":
            layer.v_mem = v
            spikes = layer(x.flatten(0, 1)).unflatten(0, (3, steps))
            last = layer.v_mem
        elif run == "plain":
            spikes, last = lif_node(x, v, tau=tau, threshold=threshold, h=h)
        else:
            spikes, last = _run_loop(x, v, (leak, threshold, 1 / h))
        ((spikes * weights).sum() + (last * of_state).sum()).backward()
        results.append((spikes, last, x.grad, v.grad))
    for name, ours, plain, loop in zip(
        ("spikes", "state", "by current", "by state"), *results, strict=True
    ):
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12, msg=name)
        torch.testing.assert_close(loop, plain, rtol=1e-12, atol=1e-12, msg=name)
    assert 0 < results[0][0].mean() < 1


def test_a_hand_worked_neuron_fires_above_its_threshold_and_not_at_it():
    layer = LeakySqueeze(batch_size=1)
    # u: 1.25 fires; 1.0 does not; 0.5 + 0.5 = 1.0 does not; 0.5 + 0.75 = 1.25 fires; 0.25 does not
    currents = torch.tensor([1.25, 1.0, 0.5, 0.75, 0.25]).view(5, 1)
    assert layer(currents).flatten().tolist() == [1, 0, 0, 1, 0]
    assert layer.v_mem.item() == 0.25


def test_a_hand_worked_gradient_passes_through_the_reset():
    layer = LeakySqueeze(batch_size=1)
    currents = torch.tensor([[1.5], [0.5]], requires_grad=True)
    # u1 = 1.5 fires, v1 = 0; u2 = 0.5. Slopes: 1 - |0.5| = 0.5 both times. d s2 / d u2 = 0.5,
    # d u2 / d v1 = 0.5, and d v1 / d u1 = (1 - s1) - u1 * 0.5 = -0.75.
    layer(currents)[1].sum().backward()
    assert currents.grad.flatten().tolist() == [0.5 * 0.5 * -0.75, 0.5]


def test_single_and_double_precision_agree():
    fused, double = LeakySqueeze(batch_size=2), LeakySqueeze(batch_size=2)
    currents = normal(14, 6)
    spikes = fused(currents.float())
    assert spikes.dtype == torch.float32
    assert torch.equal(spikes.double(), double(currents))
    torch.testing.assert_close(fused.v_mem.double(), double.v_mem, rtol=0, atol=1e-6)


def test_a_state_goes_on_until_it_is_reset():
    layer = LeakySqueeze(batch_size=1)
    whole = layer(normal(6, 4))
    layer.reset_states()
    parts = [layer(part) for part in normal(6, 4).split(2)]
    assert torch.equal(torch.cat(parts), whole)


def test_a_nan_stays_one():
    layer = LeakySqueeze(batch_size=1)
    layer(torch.tensor([[float("nan")], [0.0]]))
    assert layer.v_mem.isnan().all()


def test_the_layer_is_copied_and_written_with_its_numbers(tmp_path):
    network = nn.Sequential(nn.Linear(2, 2), LeakySqueeze(batch_size=4, leak=0.9, h=0.5))
    save_network(network, tmp_path / "a.pt")
    layers = [copy.deepcopy(network)[1], read_torch_file(tmp_path / "a.pt").value[1]]
    for layer in layers:
        assert (layer.leak, layer.threshold, layer.h, layer.batch_size) == (0.9, 1.0, 0.5, 4)
    assert not list(network[1].parameters())


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"leak": 1.5}, "leak 1.5"),
        ({"leak": -0.1}, "leak -0.1"),
        ({"threshold": 0}, "threshold or a width h of 0"),
        ({"h": float("nan")}, "h nan"),
    ],
)
def test_numbers_without_meaning_are_refused(numbers, problem):
    with pytest.raises(NetworkError, match=problem):
        LeakySqueeze(batch_size=1, **numbers)


def test_a_file_with_other_numbers_is_refused(tmp_path):
    network = nn.Sequential(nn.Linear(2, 2), LeakySqueeze(batch_size=4))
    network[1].leak = "half"
    torch.save(network, tmp_path / "a.pt")
    with pytest.raises(NetworkError, match="leak 'half'"):
        load_network(tmp_path / "a.pt")


def test_every_count_of_samples_and_steps_runs():
    for n_samples, n_steps in itertools.product((1, 3), (1, 4)):
        layer = LeakySqueeze(batch_size=n_samples)
        assert layer(normal(n_samples * n_steps, 2, 3, 3)).shape == (n_samples * n_steps, 2, 3, 3)
