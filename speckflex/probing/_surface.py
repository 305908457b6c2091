"""What samna says of itself: defaults as read, the JSON of a configuration, widths of fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from speckflex._support.text import first_line
from speckflex.errors import BoardError
from speckflex.probing._cores import CORE, THETA, layer_of
from speckflex.probing.experiment import Experiment

if TYPE_CHECKING:
    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

REGISTER, STARTED = 0, 0xF1  # data sheet, SPI slave
# Values beyond what the chip's words can hold: (event, field, value).
TOO_WIDE = (
    ("Spike", "x", 300),
    ("Spike", "feature", 70_000),
    ("Spike", "layer", 300),
    ("Spike", "timestamp", 2**32),
    ("WriteNeuronValue", "neuron_state", 40_000),
    ("WriteWeightValue", "weight", 200),
    ("WriteBiasValue", "bias", 40_000),
)
# What samna's bindings raise; they have no class of their own.
REFUSED = (TypeError, ValueError, OverflowError, RuntimeError, AttributeError)


def _defaults(bench: Bench) -> Any:
    """Return a configuration as samna makes it, in samna's own layout."""
    with bench.link.errors("making a configuration"):
        made = bench.link.module.configuration.SpeckConfiguration()
        return _parsed(made.to_json())


def _configuration(bench: Bench) -> Any:
    """Return the JSON of a configuration with one neuron, for whoever has no samna."""
    configuration = bench.configuration({CORE: layer_of(THETA)})
    with bench.link.errors("writing a configuration as JSON"):
        return _parsed(configuration.to_json())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BoardError(f"samna's to_json gave no JSON ({first_line(error)})") from error


def _widths(bench: Bench) -> dict[str, str]:
    """Return what happens to values that a field of an event can't hold."""
    found = {}
    for kind, name, value in TOO_WIDE:
        event = getattr(bench.link.module.event, kind)()
        try:
            setattr(event, name, value)
            kept = int(getattr(event, name))
        except REFUSED as error:
            found[f"{kind}.{name} = {value}"] = f"refused: {type(error).__name__}"
        else:
            found[f"{kind}.{name} = {value}"] = f"reads {kept}"
    return found


def _register(bench: Bench) -> int | None:
    """Return what register 0 answers."""
    request = bench.event("ReadRegisterValue", address=REGISTER)
    answers = bench.answers([request], "RegisterValue")
    return int(answers[0].data) if answers else None


EXPERIMENTS = (
    Experiment("defaults", "the configuration that samna makes", _defaults),
    Experiment("configuration_json", "the JSON of a configuration with one core", _configuration),
    Experiment("widths", "what events do with values that are too wide", _widths),
    Experiment(
        "register_0", "what register 0 answers after the start", _register, {"241": STARTED}
    ),
)
