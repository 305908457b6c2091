"""The kernels' tables and vector instructions, against loops over every neuron."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.errors import TypingError

from speckflex.kernels import records
from speckflex.kernels._lanes import BIT_POSITIONS, append_fired, pointer_to
from speckflex.kernels.count import count_into
from speckflex.kernels.cuda_integrate import DEVICE_CORE
from speckflex.kernels.integrate import LANES, LANES_AVAILABLE, integrate
from speckflex.kernels.records import CORE, RULE
from speckflex.program.records import Core
from speckflex.program.routing import places_of, row_spans
from speckflex.twin._queues import Queue
from speckflex.twin.cores import CoreModel, RunningCore
from speckflex.twin.queue_runner import QueueRunner
from speckflex.twin.settings import TwinSettings


@settings(max_examples=200)
@given(
    n_inputs=st.integers(1, 20),
    kernel=st.integers(1, 7),
    stride=st.sampled_from([1, 2, 4, 8]),
    padding=st.integers(0, 7),
)
def test_spans_hold_the_neurons_whose_field_holds_the_input(n_inputs, kernel, stride, padding):
    n_neurons = max(1, (n_inputs + 2 * padding - kernel) // stride + 1)
    spans = row_spans(n_inputs, n_neurons, kernel, stride, padding)
    for y in range(n_inputs):
        taps = [(row, y + padding - row * stride) for row in range(n_neurons)]
        expected = [(row, tap) for row, tap in taps if 0 <= tap < kernel]
        first, n_rows, tap = spans[y]
        assert [(first + i, tap - i * stride) for i in range(n_rows)] == expected
    assert spans[n_inputs]["n_rows"] == 0


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_out=st.integers(1, 100),
    to_zero=st.booleans(),
    high=st.sampled_from([1, 50, 127, 1000, 32767]),
)
def test_vector_instructions_equal_single_steps(seed, n_out, to_zero, high):
    if not LANES_AVAILABLE:
        pytest.skip("vector instructions exist in compiled code alone")
    rng = np.random.default_rng(seed)
    core = Core(
        "layer",
        rng.integers(-128, 128, (n_out, 2, 3, 3)),
        high,
        int(rng.choice([0, -1, -high, -32768])),
        (2, 5, 6),
        padding=(1, 1),
        return_to_zero=to_zero,
        initial_state=rng.integers(-32768, 32768, (n_out, 5, 6)),
    )
    model = CoreModel(core, [places_of(core.input_shape)], TwinSettings())
    codes = rng.integers(0, 60, 200).astype(np.int32)
    results = []
    for with_lanes in (1, 0):
        model.layout["by_lanes"] = with_lanes
        running = RunningCore(model)
        spikes = [emission.sent.codes.copy() for emission in QueueRunner(running).run(Queue(codes))]
        results.append((np.concatenate([np.empty(0, np.int32), *spikes]), running.state.copy()))
    for fast, slow in zip(*results, strict=True):
        assert np.array_equal(fast, slow)


@pytest.mark.parametrize("n_out", [5, 16, 20, 32, 40, 48, 64])
@pytest.mark.parametrize("to_zero", [True, False])
def test_neurons_that_fire_after_a_long_silence_are_reset(n_out, to_zero):
    """Nothing fires in the first block of events, so the next one only asks whether anything does.

    Each event adds 1 or 7 to a neuron. The threshold 1000 is reached by no neuron before event 143,
    by those of weight 7 then and at 286 and 429 (or, from 0, each 143 events).
    """
    weights = np.where(np.arange(n_out) % 3 == 0, 7, 1).reshape(-1, 1, 1, 1)
    core = Core("layer", weights, 1000, -1, (1, 1, 1), return_to_zero=to_zero)
    running = RunningCore(CoreModel(core, [places_of(core.input_shape)], TwinSettings()))
    emissions = QueueRunner(running).run(Queue(np.zeros(500, np.int32)))
    codes = np.concatenate([emission.sent.codes.copy() for emission in emissions])
    heavy = np.arange(0, n_out, 3)
    assert codes.tolist() == [*heavy, *heavy, *heavy]
    left = 500 * 7 - 3 * (143 * 7 if to_zero else 1000)
    assert running.state.reshape(-1).tolist() == [left if w == 7 else 500 for w in weights.flat]


@pytest.mark.skipif(not LANES_AVAILABLE, reason="nothing is compiled")
def test_vector_instructions_equal_single_steps_on_a_plain_processor(tmp_path):
    """Code for a processor that packs no vectors, whatever the one at hand can do."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"{Path(__file__)}::{test_vector_instructions_equal_single_steps.__name__}",
    ]
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": tmp_path}
    done = subprocess.run(  # noqa: S603 - our own test
        command,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(not LANES_AVAILABLE, reason="nothing is compiled")
@pytest.mark.parametrize("mask", [0, 1, 0x80000000, 0xFFFFFFFF, 0x0000FFFF, 0xA0F00301])
def test_each_set_bit_of_a_mask_appends_its_neuron(mask):
    @njit
    def append(spikes, n_spikes, neuron, mask):
        return append_fired(pointer_to(spikes), n_spikes, neuron, mask)

    spikes = np.full(3 + 2 * LANES, -1, np.int32)
    n_spikes = append(spikes, 3, np.int32(100), np.uint32(mask))
    expected = [100 + bit for bit in range(LANES) if mask >> bit & 1]
    assert spikes[:n_spikes].tolist() == [-1, -1, -1, *expected]


@pytest.mark.skipif(not LANES_AVAILABLE, reason="nothing is compiled")
def test_an_array_with_gaps_has_no_pointer():
    first = njit(lambda array: pointer_to(array)[0])
    assert first(np.arange(5, 9)) == 5
    with pytest.raises(TypingError, match="contiguous"):
        first(np.arange(9)[::2])


def test_neurons_beyond_the_last_lane_are_left_alone(rng):
    core = Core("layer", rng.integers(1, 128, (5, 1, 1, 1)), 100, -100, (1, 1, 2))
    model = CoreModel(core, [places_of(core.input_shape)], TwinSettings())
    running = RunningCore(model)
    before = running.memory.copy()
    # the last place lies first in memory
    list(QueueRunner(running).run(Queue(np.ones(1, np.int32))))
    assert (running.memory[:5] > 0).all()
    assert np.array_equal(running.memory[5:], before[5:])


def test_bit_positions_name_the_set_bits():
    for byte in range(256):
        bits = [bit for bit in range(8) if byte & (1 << bit)]
        assert BIT_POSITIONS[8 * byte : 8 * byte + len(bits)].tolist() == bits


def test_the_rows_of_tables_have_the_same_names_on_cpu_and_gpu():
    dtypes = [value for value in vars(records).values() if isinstance(value, np.dtype)]
    assert len(dtypes) == 5
    assert all(dtype.isalignedstruct for dtype in dtypes)
    # what only single steps on the CPU do
    rule = set(RULE.names) - {"cuts_last"}
    assert rule | {"ratio", "passing", "monitors"} <= set(DEVICE_CORE.names)
    assert {"ratio", "passing", "monitors"} <= set(CORE.names)


def test_counts_add_up():
    counts = np.zeros(4, np.int64)
    count_into(np.array([1, 3, 1, 1], np.int32), counts)
    assert counts.tolist() == [0, 3, 0, 1]


@pytest.mark.skipif(not LANES_AVAILABLE, reason="nothing is compiled")
def test_one_compiled_kernel_serves_all_layers(rng):
    compiled = []
    for n_out, kernel in ((3, 1), (40, 3)):
        core = Core("layer", rng.integers(-9, 9, (n_out, 2, kernel, kernel)), 5, -5, (2, 6, 6))
        running = RunningCore(CoreModel(core, [places_of((2, 6, 6))], TwinSettings()))
        list(QueueRunner(running).run(Queue(rng.integers(0, 72, 30).astype(np.int32))))
        compiled.append(list(integrate.signatures))
    assert compiled[0] == compiled[1]


@pytest.mark.skipif(
    not LANES_AVAILABLE or platform.machine() not in {"x86_64", "AMD64"},
    reason="the names are those of x86 processors, in compiled code",
)
def test_the_inner_loop_adds_many_neurons_at_once(rng):
    test_one_compiled_kernel_serves_all_layers(rng)
    # compiled anew, since code from numba's cache can't be looked at
    fresh = njit(nogil=True, error_model="numpy")(integrate.py_func)
    fresh.compile(integrate.signatures[0])
    (assembly,) = fresh.inspect_asm().values()
    assert "paddsw" in assembly
    assert LANES == 32
