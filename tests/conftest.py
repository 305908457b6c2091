"""Fixtures that every test may use."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Whether a case is right does not depend on how busy the machine is.
settings.register_profile("speckflex", deadline=None)
settings.load_profile("speckflex")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator, the same for every test."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings and trained models beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real recordings are not at {SHARED_DATA}")
    return SHARED_DATA
