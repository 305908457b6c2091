"""From a network to its Program, through sinabs' own backend."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sinabs
import torch

from speckflex.chips import find_chip
from speckflex.conversion._prepare import prepare
from speckflex.conversion._prepared import INPUT, PreparedNetwork
from speckflex.conversion._quantisation import quantisation_checks
from speckflex.conversion.discretise import destinations_of, discretise
from speckflex.errors import ConversionError
from speckflex.fitting.check import CheckTable, check_program, ordered
from speckflex.fitting.checks import Check
from speckflex.fitting.placement import place_layers, placement_problems
from speckflex.networks.neurons import PrechargedIAFSqueeze
from speckflex.networks.quantised import QuantisedReLU
from speckflex.program.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

    from speckflex.conversion.options import ConversionOptions
    from speckflex.program.records import Shape

__all__ = ["Conversion", "check_network", "convert", "convert_with_checks"]

log = logging.getLogger(__name__)

# What a conversion sets to another value than the network states. `convert` logs it, because the
# program alone does not tell.
CHANGED = ("min_v_mem", "threshold_low")


@dataclass(frozen=True)
class Conversion:
    """A program and the findings of its conversion.

    Args:
        program: what boards run.
        checks: changes, 8-bit figures and limits, layer by layer.
    """

    program: Program
    checks: tuple[Check, ...]


def convert(
    network: nn.Module,
    input_shape: Shape,
    *,
    chip: str = "speck2e",
    options: ConversionOptions | None = None,
    cores: Mapping[int | str, int] | None = None,
) -> Program:
    """Turn a spiking network into the integers that chip and twin run.

    Args:
        network: torch and sinabs layers; it is not changed.
        input_shape: (channel, y, x) of the events.
        chip: "speck2e", "speck2f", or "unbounded" for any size, for the twin alone.
        options: what to do where the chip differs from the network.
        cores: layers (by position or name) to put on a core of your choice.

    Raises:
        ConversionError: the chip can't run the network; `problems` lists every reason.
        PlacementError: the layers don't fit on the chip's cores.
    """
    conversion = convert_with_checks(network, input_shape, chip=chip, options=options, cores=cores)
    for check in conversion.checks:
        if check.rule in CHANGED:
            log.warning("%s", check.sentence)
    return conversion.program


def convert_with_checks(
    network: nn.Module,
    input_shape: Shape,
    *,
    chip: str = "speck2e",
    options: ConversionOptions | None = None,
    cores: Mapping[int | str, int] | None = None,
) -> Conversion:
    """Convert like `convert`, and return the findings with the program."""
    prepared = prepare(network, input_shape, options)
    _raise_errors(prepared.checks)
    program, found = _program(prepared, network, chip)
    checks = check_program(program, found=found).checks
    _raise_errors(check for check in checks if check.rule != "placement")
    program = place_layers(program, cores=cores)
    log.info("converted to %d cores for %s", len(program.cores), chip)
    return Conversion(program, check_program(program, found=found).checks)


def check_network(
    network: nn.Module,
    input_shape: Shape,
    *,
    chip: str = "speck2e",
    options: ConversionOptions | None = None,
) -> CheckTable:
    """Return the table of costs and findings; what stops a conversion is listed, not raised.

    Raises:
        ConversionError: the network does not run on that shape at all.
    """
    prepared = prepare(network, input_shape, options)
    if any(check.severity == "error" for check in prepared.checks):
        return CheckTable(chip, (), ordered(list(prepared.checks)))
    try:
        program, found = _program(prepared, network, chip)
    except ConversionError as error:
        stopped = [Check("", "error", "conversion", problem) for problem in error.problems]
        return CheckTable(chip, (), ordered([*prepared.checks, *stopped]))
    if not placement_problems(program):
        program = place_layers(program)
    return check_program(program, found=found)


def _raise_errors(checks: Iterable[Check]) -> None:
    errors = [check.sentence for check in checks if check.severity == "error"]
    if errors:
        raise ConversionError(*errors)


def _program(
    prepared: PreparedNetwork, network: nn.Module, chip: str
) -> tuple[Program, tuple[Check, ...]]:
    """Return the program, not yet placed, and all findings up to here."""
    limits = find_chip(chip).limits
    cores, mended = discretise(prepared.layers, limits.max_threshold_low)
    checks = list(mended)
    for core, layer in zip(cores, prepared.layers, strict=True):
        threshold = layer.neuron.threshold if layer.neuron else None
        weights = layer.convolution.weights.numpy()
        checks.extend(quantisation_checks(core, weights, threshold))
    stage = replace(prepared.input, destinations=destinations_of(INPUT, prepared.layers))
    metadata = {
        "network": type(network).__name__,
        "sinabs": sinabs.__version__,
        "torch": torch.__version__,
        **_levels(network),
    }
    return Program(cores, stage, chip, metadata), (*prepared.checks, *checks)


def _levels(network: nn.Module) -> dict[str, str]:
    """Return the counts for full scale that neuron layers were trained for, as metadata."""
    kinds = (PrechargedIAFSqueeze, QuantisedReLU)
    layers = [(name, found) for name, found in network.named_modules() if isinstance(found, kinds)]
    words = [f"{name} {layer.levels}" for name, layer in layers if layer.levels is not None]
    return {"levels": ", ".join(words)} if words else {}
