"""What a machine without a GPU can prove of the kernels for GPUs: they play and they compile."""

import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaPerformanceWarning

from speckflex.boards import open_board
from speckflex.errors import BoardNotFoundError
from speckflex.kernels import cuda_device
from speckflex.twin.gpu import twin as gpu_twin

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = ("sm_80", "sm_90")


def run(*command, **environment):
    """Return a finished command that began in the project's root."""
    return subprocess.run(  # noqa: S603 - our own scripts
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_twin_plays_as_on_the_cpu_in_the_simulator():
    done = run(
        *("-m", "pytest", "tests/twin/test_gpu.py", "-q", "-p", "no:cacheprovider"),
        NUMBA_ENABLE_CUDASIM="1",
    )
    assert done.returncode == 0, done.stdout
    assert " passed in " in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_twin_compiles_for_gpus_without_spills(architecture):
    done = run("tests/support/compile_twin_gpu.py", architecture)
    if done.returncode == 2:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    reports = done.stdout.splitlines()
    assert [line.split()[0] for line in reports] == [
        *("integrate_batch", "integrate_depth_first"),
        *("begin_batch", "leak_batch", "gather_batch"),
    ]
    assert all("0 bytes of spills" in line for line in reports)


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed (CUDA's torch)"
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_passes_of_training_compile_for_gpus(architecture):
    done = run("tests/support/compile_if_triton.py", architecture)
    assert done.returncode == 0, done.stdout + done.stderr
    reports = done.stdout.splitlines()
    assert [line.split()[0] for line in reports] == ["forward"] * 8 + ["backward"] * 12
    # a multiplication and addition in one would round otherwise than on the CPU
    assert all(line.endswith(" 0 fused") for line in reports)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_a_missing_gpu_is_one_line_with_a_remedy():
    with pytest.raises(BoardNotFoundError, match=r"there is no GPU .*: attach one, or") as raised:
        open_board("twin:cuda")
    assert "\n" not in str(raised.value)


def test_a_part_for_gpus_that_cannot_be_loaded_is_one_line_with_a_remedy():
    code = (
        "import sys, speckflex as sf; from speckflex.boards import twin;"
        "sys.modules['numba.cuda'] = None\n"
        "try: sf.open_board('twin:cuda')\n"
        "except sf.SpeckflexError as error: print(type(error).__name__, error)"
    )
    done = run("-c", code)
    assert done.stdout.startswith("BoardNotFoundError the twin's device is 'cuda' and numba's part")
    assert done.stdout.count("\n") == 1, done.stderr
    assert "pip install 'speckflex[cuda]'" in done.stdout


@pytest.mark.parametrize("category", [NumbaPerformanceWarning, UserWarning])
def test_a_launch_of_few_blocks_does_not_warn(category):
    class Kernel:
        def __getitem__(self, sizes):
            return lambda: warnings.warn(
                f"Grid size {sizes[0]} will likely result in GPU under-utilization due to low"
                " occupancy.",
                category,
                stacklevel=2,
            )

    cuda_device.launch(Kernel(), 1, 32)


def test_an_unknown_device_is_refused_by_name():
    with pytest.raises(BoardNotFoundError, match="device 'tpu' is not known: choose one of cpu"):
        open_board("twin", device="tpu")


def test_the_twin_on_the_cpu_never_loads_what_is_for_gpus():
    code = (
        "import sys, speckflex as sf; board = sf.open_board('twin'); "
        "print([m for m in sys.modules if m.startswith(('numba.cuda', 'speckflex.kernels.cuda'))])"
    )
    assert run("-c", code).stdout.strip() == "[]"


def test_a_compiler_that_its_numpy_breaks_is_one_line(monkeypatch):
    def broken(name):
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    monkeypatch.setattr(cuda_device, "import_module", broken)
    monkeypatch.setattr(gpu_twin, "is_available", lambda: True)
    monkeypatch.setattr(gpu_twin, "is_compiler_available", lambda: True)
    with pytest.raises(BoardNotFoundError, match=r"with this numpy .*row_stack.*: pip install"):
        gpu_twin.check_gpu()


def test_an_upload_has_the_strides_of_its_shape(monkeypatch):
    monkeypatch.setattr(cuda_device.cuda, "to_device", lambda array: array)
    for given in (np.broadcast_to(np.int16(43), (1,)), np.ones((4, 3))[:, :1], np.ones((2, 3)).T):
        uploaded = cuda_device.upload(given)
        np.testing.assert_array_equal(uploaded, given)
        assert uploaded.strides == np.ones_like(given, order="C", subok=False).copy().strides
