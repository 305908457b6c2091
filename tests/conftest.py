"""Fixtures that every test may use."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Test processes that compile one kernel for different types at once would take each other's files
# in numba's cache; so each has a cache of its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER is not None:
    CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / f"numba-{WORKER}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(CACHE))

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
