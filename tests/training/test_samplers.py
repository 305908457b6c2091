"""Temporal configurations: their ranges, their distribution, their generator."""

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speckflex.errors import TrainingError
from speckflex.training.mixed.samplers import (
    SAMPLERS,
    FixedFirstSampler,
    NonIncreasingSampler,
    SameSampler,
    UniformSampler,
)

ranges = st.tuples(st.integers(1, 8), st.integers(1, 20)).map(lambda pair: (pair[0], sum(pair) - 1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", SAMPLERS)
@given(limits=ranges, n_stages=st.integers(1, 9), seed=st.integers(0, 1000))
def test_every_stage_gets_a_count_in_the_range(name, limits, n_stages, seed):
    t_min, t_max = limits
    drawn = SAMPLERS[name](n_stages, t_max, t_min)(seeded(seed))
    assert len(drawn) == n_stages
    assert all(type(count) is int and t_min <= count <= t_max for count in drawn)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_generator_alone_decides(name):
    sampler = SAMPLERS[name](5, 40)
    torch.manual_seed(1)
    first = [sampler(generator) for generator in [seeded()] for _ in range(20)]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = [sampler(generator) for generator in [seeded()] for _ in range(20)]
    assert first == second
    assert torch.equal(state, torch.get_rng_state())


@given(st.integers(0, 1000))
def test_shapes_of_the_configurations(seed):
    assert len(set(SameSampler(6, 10)(seeded(seed)))) == 1
    assert FixedFirstSampler(6, 10)(seeded(seed))[0] == 10
    falling = NonIncreasingSampler(6, 10)(seeded(seed))
    assert falling[0] == 10
    assert list(falling) == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("sampler", "allowed"),
    [
        (UniformSampler(2, 3), lambda t: len(t) == 2),
        (FixedFirstSampler(3, 3), lambda t: t[0] == 3),
        (SameSampler(3, 4, 2), lambda t: len(set(t)) == 1 and t[0] > 1),
        (NonIncreasingSampler(3, 4), lambda t: t[0] == 4 >= t[1] >= t[2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_allowed_configurations_are_equally_likely(sampler, allowed):
    everything = product(range(1, sampler.t_max + 1), repeat=sampler.n_stages)
    expected = {configuration for configuration in everything if allowed(configuration)}
    generator, n_draws = seeded(), 300 * len(expected)
    seen = Counter(sampler(generator) for _ in range(n_draws))
    assert set(seen) == expected
    # Chi square, mean n - 1 and variance 2 (n - 1): six standard deviations are left.
    freedom = len(expected) - 1
    chi_square = sum((count - 300) ** 2 / 300 for count in seen.values())
    assert chi_square < freedom + 6 * (2 * freedom) ** 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 10), "number of stages: 0 is below 1"),
        ((3, 0), "t_max: 0 is below 1"),
        ((3, 10, 0), "t_min: 0 is below 1"),
        ((3, 4, 5), "t_max 4 is below t_min 5"),
        ((3, 2.5), "t_max: 2.5 is no integer"),
    ],
)
def test_empty_ranges_are_refused(arguments, message):
    with pytest.raises(TrainingError, match=message):
        UniformSampler(*arguments)
