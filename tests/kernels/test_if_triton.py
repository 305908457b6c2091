"""The passes for GPUs against those for CPUs: on a GPU, or in Triton's interpreter."""

import importlib.util
import os
from itertools import product

import numpy as np
import pytest
import torch

from speckflex.kernels.if_backward import if_backward
from speckflex.kernels.if_forward import if_forward
from speckflex.networks.neurons import FusedIAFSqueeze

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
SHAPES = [(1, 1, 1), (3, 5, 300), (2, 7, 4)]
RULES = [
    [np.float32(0.8), np.float32(most), to_value, np.float32(0.3), bounded, np.float32(-0.5)]
    for most, to_value, bounded in product([np.inf, 1, 2], [False, True], [False, True])
]


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("numbers", RULES, ids=lambda numbers: str(numbers[1:5:3]))
def test_both_devices_compute_the_same(shape, numbers):
    from speckflex.kernels.if_triton import run_backward, run_forward

    batch, _, neurons = shape
    here = [2 * normal(*shape), normal(batch, neurons), torch.empty(shape), torch.empty(shape)]
    there = [tensor.clone().to(DEVICE) for tensor in here]
    if_forward(*(tensor.numpy() for tensor in here), *numbers)
    run_forward(there, numbers)
    for expected, actual in zip(here, there, strict=True):
        assert torch.equal(actual.cpu(), expected)
    for kind in range(3):
        surrogate = [kind, np.float32(1.3), np.float32(2.0)]
        gradients = [normal(*shape), normal(batch, neurons), here[3], normal(*shape).abs()]
        copies = [tensor.clone().to(DEVICE) for tensor in gradients]
        if_backward(*(tensor.numpy() for tensor in gradients), *numbers, *surrogate)
        run_backward(copies, [*numbers, *surrogate])
        torch.testing.assert_close(copies[3].cpu(), gradients[3], rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(INTERPRETED, reason="a layer on the CPU never runs in the interpreter")
def test_a_layer_on_the_gpu_agrees_with_itself_on_the_cpu():
    layer = FusedIAFSqueeze(batch_size=3, min_v_mem=-1.0)
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device).reset_states()
        current = normal(12, 2, 3, 4).to(device).requires_grad_()
        spikes = layer(current)
        spikes.square().sum().backward()
        results.append((spikes.cpu(), layer.v_mem.cpu(), current.grad.cpu()))
    for cpu, gpu in zip(*results, strict=True):
        torch.testing.assert_close(gpu, cpu, rtol=1e-5, atol=1e-5)
