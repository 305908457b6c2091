"""Fixtures that every test may use."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# Test processes that compile one kernel for different types at once would take each other's files
# in numba's cache; so each has a cache of its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER is not None:
    CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / f"numba-{WORKER}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(CACHE))

# A table that one test has kept would answer another one.
os.environ["SPECKFLEX_CACHE"] = ""

# A shell starts what it puts into the background with interrupts ignored, and commands under test
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture(scope="session", autouse=True)
def no_line_tells_of_a_long_stage() -> Iterator[None]:
    """Keep lines of progress out of the output of commands, where a busy machine would add them."""
    from speckflex.cli import progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "FIRST_LINE", 3600.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def every_report_keeps_to_its_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold every report that a test makes to the JSON Schema, and those of other processes."""
    from report_schema import validator

    from speckflex.report import Report
    from speckflex.report import _as_json as as_json

    plain = as_json.plain

    def checked(value: Any) -> Any:
        facts = plain(value)
        if isinstance(value, Report):
            validator(type(value)).validate(facts)
        return facts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(as_json, "plain", checked)
        yield
    for path in tmp_path_factory.getbasetemp().rglob("report.json"):
        validator().validate(json.loads(path.read_text(encoding="utf-8")))
