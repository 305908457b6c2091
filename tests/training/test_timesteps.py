"""Grouping of frames and the temporal transform, against a brute-force reading of MTT A.4."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import speckflex as sf
from speckflex.errors import SpeckflexError, TrainingError
from speckflex.kernels import by_sample
from speckflex.training.mixed.temporal import TemporalTransform, count_frames
from speckflex.training.mixed.timesteps import group_boundaries

lengths = st.tuples(st.integers(1, 60), st.integers(1, 60)).map(sorted)


def nearest_integers(few: int, many: int) -> list[int]:
    """Move each ideal boundary to the integer of least distance, the lower one of two."""
    candidates = range(many + 1)
    return [
        min(candidates, key=lambda place: (abs(Fraction(k * many, few) - place), place))
        for k in range(few + 1)
    ]


@given(lengths)
def test_boundaries_are_the_nearest_integers_to_the_even_split(pair):
    few, many = pair
    assert group_boundaries(few, many).tolist() == nearest_integers(few, many)


@given(lengths)
def test_no_group_is_empty_and_sizes_differ_by_at_most_one_frame(pair):
    few, many = pair
    sizes = np.diff(group_boundaries(few, many))
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


def test_boundaries_of_six_frames_in_four_groups_break_ties_downwards():
    assert group_boundaries(4, 6).tolist() == [0, 1, 3, 4, 6]


def test_boundaries_are_exact_where_floats_are_not():
    many = 10**17  # one more than a multiple of 3
    assert group_boundaries(3, many).tolist() == [0, (many - 1) // 3, (2 * many + 1) // 3, many]


def test_boundaries_have_the_type_of_the_contract():
    boundaries = sf.group_boundaries(np.int64(3), 7)
    assert boundaries.dtype == np.int64
    assert boundaries.shape == (4,)


@pytest.mark.parametrize(
    ("few", "many", "message"),
    [
        (0, 5, "the number of groups: 0 is below 1"),
        (-2, 5, "-2 is below 1"),
        (5, 4, "4 frames can't fill 5 groups"),
        (1, 0, "frames: 0 is below 1"),
        (1.5, 4, "1.5 is no integer"),
        (1, None, "frames: None is no integer"),
    ],
)
def test_impossible_groups_are_refused(few, many, message):
    with pytest.raises(TrainingError, match=message) as caught:
        group_boundaries(few, many)
    assert isinstance(caught.value, SpeckflexError)
    assert "\n" not in str(caught.value)


def test_boundaries_come_without_torch():
    code = (
        "import speckflex, sys; speckflex.group_boundaries(2, 3); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603


def counts(draw_seed: int, time: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw_seed)
    return torch.randint(0, 6, (2, time, 3, 2), generator=generator).float()


@given(lengths, st.integers(0, 99))
def test_fewer_frames_are_the_sums_of_their_groups(pair, seed):
    few, many = pair
    frames = counts(seed, many)
    edges = nearest_integers(few, many)
    expected = [sum(frames[:, t] for t in range(edges[k], edges[k + 1])) for k in range(few)]
    assert torch.equal(TemporalTransform(few)(frames), torch.stack(expected, 1))


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([torch.uint8, torch.int16, torch.int32, torch.int64]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_whole_numbers_are_summed_as_if_they_had_been_floats(n_frames, time, kind, dtype, seed):
    frames = counts(seed, time)
    expected = frames.to(dtype)
    if n_frames < time:
        expected = TemporalTransform(n_frames)(expected)
    actual = count_frames(frames.to(kind), n_frames, dtype)
    assert actual.dtype == dtype
    assert torch.equal(actual, expected)


def test_sums_of_small_integers_do_not_wrap_around():
    frames = torch.full((1, 3, 1, 2), 200, dtype=torch.uint8)
    assert count_frames(frames, 1, torch.float32).flatten().tolist() == [600, 600]


def test_frames_that_lie_elsewhere_in_memory_are_summed_alike():
    frames = counts(1, 7).to(torch.uint8)
    turned = frames.transpose(2, 3).contiguous().transpose(2, 3)
    expected = count_frames(frames, 3, torch.float32)
    assert torch.equal(count_frames(turned, 3, torch.float32), expected)


def test_many_frames_are_summed_in_threads_with_the_same_result(monkeypatch):
    frames = counts(2, 40).to(torch.uint8)
    expected = count_frames(frames, 11, torch.float32)
    monkeypatch.setattr(by_sample, "VALUES_PER_THREAD", 10)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(count_frames(frames, 11, torch.float32), expected)
    finally:
        torch.set_num_threads(before)


@given(lengths, st.integers(0, 99))
def test_more_frames_are_copies_of_their_groups_frame(pair, seed):
    few, many = pair
    frames = counts(seed, few)
    edges = nearest_integers(few, many)
    expected = [frames[:, k] for k in range(few) for _ in range(edges[k], edges[k + 1])]
    assert torch.equal(TemporalTransform(many)(frames), torch.stack(expected, 1))


@given(lengths, st.integers(0, 99))
def test_spreading_is_undone_by_summing(pair, seed):
    few, many = pair
    frames = counts(seed, few)
    spread = TemporalTransform(many, upsampling="spread")(frames)
    assert torch.equal(spread, spread.round())
    assert torch.equal(TemporalTransform(few)(spread), frames)


@given(st.integers(1, 12), st.integers(0, 40))
def test_spreading_keeps_each_running_sum_nearest_to_even(size, spikes):
    frames = torch.full((1, 1, 1), float(spikes))
    running = TemporalTransform(size, upsampling="spread")(frames).cumsum(1)
    for place, total in enumerate(running.flatten().tolist(), start=1):
        assert abs(Fraction(spikes * place, size) - int(total)) <= Fraction(1, 2)


def test_spreading_conserves_fractions_and_negative_values():
    frames = torch.tensor([[[0.3], [-2.75], [5.5]]], dtype=torch.float64)
    spread = TemporalTransform(10, upsampling="spread")(frames)
    torch.testing.assert_close(TemporalTransform(3)(spread), frames, rtol=0, atol=1e-12)


@pytest.mark.parametrize("upsampling", ["copy", "spread"])
def test_equal_length_is_the_same_tensor(upsampling):
    frames = counts(0, 5)
    assert TemporalTransform(5, upsampling=upsampling)(frames) is frames


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8])
@pytest.mark.parametrize("n_frames", [2, 7])
def test_the_dtype_stays(dtype, n_frames):
    frames = counts(0, 5).to(dtype)
    transformed = TemporalTransform(n_frames, upsampling="spread")(frames)
    assert transformed.dtype == dtype
    assert transformed.shape == (2, n_frames, 3, 2)
    assert transformed.sum() == frames.sum()


@pytest.mark.parametrize("n_frames", [1, 3, 5, 8])
def test_gradients_of_sums_and_copies_are_exact(n_frames):
    frames = counts(0, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(TemporalTransform(n_frames), (frames,))


def test_the_gradient_of_spreading_is_that_of_the_even_split():
    frames = counts(0, 3).requires_grad_()
    weights = torch.randn(2, 7, 3, 2, generator=torch.Generator().manual_seed(1))
    (TemporalTransform(7, upsampling="spread")(frames) * weights).sum().backward()
    edges = group_boundaries(3, 7)
    expected = [weights[:, edges[k] : edges[k + 1]].mean(1) for k in range(3)]
    torch.testing.assert_close(frames.grad, torch.stack(expected, 1))


def test_the_transform_has_nothing_to_train_or_save():
    transform = TemporalTransform(4, upsampling="spread")
    assert not transform.state_dict()
    rules = "upsampling='spread', downsampling='sum'"
    assert repr(transform) == f"TemporalTransform(n_frames=4, {rules})"


def test_bad_transforms_are_refused():
    with pytest.raises(TrainingError, match="frames of a temporal transform: 0 is below 1"):
        TemporalTransform(0)
    with pytest.raises(TrainingError, match="upsampling 'linear' is not known: choose one of copy"):
        TemporalTransform(3, upsampling="linear")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TrainingError, match="downsampling 'cut' is not known: choose one of sum"):
        TemporalTransform(3, downsampling="cut")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("n_frames", [1, 4, 9])
def test_trimming_keeps_the_first_frames_as_the_published_gesture_network_does(n_frames):
    frames = counts(0, 9)
    trimmed = TemporalTransform(n_frames, downsampling="trim")(frames)
    assert torch.equal(trimmed, torch.stack([frames[:, t] for t in range(n_frames)], 1))
    longer = TemporalTransform(12, downsampling="trim")(frames)
    assert torch.equal(longer, TemporalTransform(12)(frames))
