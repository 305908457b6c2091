"""The leaky neuron's passes for GPUs against those for CPUs: on a GPU, or in the interpreter."""

import importlib.util
import os

import numpy as np
import pytest
import torch

from speckflex.kernels.leaky_backward import leaky_backward
from speckflex.kernels.leaky_forward import leaky_forward
from speckflex.networks.leaky import LeakySqueeze

HAS_TRITON = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

if not HAS_TRITON:
    pytest.skip("Triton is not installed (it comes with CUDA)", allow_module_level=True)
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip(
        "no GPU: set TRITON_INTERPRET=1 to run the kernels in Triton's interpreter",
        allow_module_level=True,
    )


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 300), (2, 7, 4)], ids=str)
@pytest.mark.parametrize("numbers", [(0.5, 1.0, 1.0), (0.99, 0.7, 2.0), (0.0, 1.0, 0.5)], ids=str)
def test_both_devices_compute_the_same(shape, numbers):
    from speckflex.kernels.leaky_triton import run_backward, run_forward

    numbers = [np.float32(number) for number in numbers]
    batch, _, neurons = shape
    here = [2 * normal(*shape), normal(batch, neurons), torch.empty(shape), torch.empty(shape)]
    there = [tensor.clone().to(DEVICE) for tensor in here]
    leaky_forward(*(tensor.numpy() for tensor in here), *numbers)
    run_forward(there, numbers)
    for expected, actual in zip(here, there, strict=True):
        assert torch.equal(actual.cpu(), expected)
    gradients = [normal(*shape), normal(batch, neurons), here[3], torch.empty(shape)]
    copies = [tensor.clone().to(DEVICE) for tensor in gradients]
    leaky_backward(*(tensor.numpy() for tensor in gradients), *numbers)
    run_backward(copies, numbers)
    torch.testing.assert_close(copies[3].cpu(), gradients[3], rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(INTERPRETED, reason="a layer on the CPU never runs in the interpreter")
def test_a_layer_on_the_gpu_agrees_with_itself_on_the_cpu():
    currents = normal(12, 2, 5)
    results = []
    for device in ("cpu", "cuda"):
        layer = LeakySqueeze(batch_size=3, leak=0.5).to(device)
        x = currents.clone().to(device).requires_grad_()
        spikes = layer(x)
        (spikes * currents.to(device)).sum().backward()
        results.append((spikes.detach().cpu(), layer.v_mem.detach().cpu(), x.grad.cpu()))
    for on_cpu, on_gpu in zip(*results, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-5, atol=1e-6)
