"""From a network to its Program, through sinabs' own backend."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sinabs
import sinabs.layers as sl
import torch
from sinabs.activation import MembraneReset, MembraneSubtract
from torch import nn

from speckflex._support.text import first_line
from speckflex.chips.formats import NEURON_MAX, WEIGHT_MAX
from speckflex.conversion._prepare import prepare
from speckflex.conversion._prepared import INPUT, PreparedLayer, PreparedNetwork
from speckflex.conversion._quantisation import quantisation_checks
from speckflex.errors import ConversionError
from speckflex.fitting.check import CheckTable, check_program, ordered
from speckflex.fitting.checks import Check
from speckflex.fitting.placement import place_layers, placement_problems
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination
from speckflex.samna_access import load_samna

load_samna()
from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402  needs samna's name to exist
from sinabs.backend.dynapcnn.discretize import (  # noqa: E402
    DYNAPCNN_STATE_PRECISION_BITS,
    DYNAPCNN_WEIGHT_PRECISION_BITS,
    determine_discretization_scale,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from speckflex.conversion.options import ConversionOptions
    from speckflex.program.records import Shape

__all__ = ["Conversion", "check_network", "convert", "convert_with_checks"]


# A sum that reaches this threshold fires before one more weight could saturate it, so that
# nothing is lost of it: `Core.integrated` adds the spikes back.
READOUT_THRESHOLD = NEURON_MAX - WEIGHT_MAX


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
    return convert_with_checks(
        network, input_shape, chip=chip, options=options, cores=cores
    ).program


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
    cores, checks = _cores(prepared)
    for core, layer in zip(cores, prepared.layers, strict=True):
        threshold = layer.neuron.threshold if layer.neuron else None
        weights = layer.convolution.weights.numpy()
        checks.extend(quantisation_checks(core, weights, threshold))
    stage = replace(
        prepared.input,
        destinations=tuple(
            Destination(index)
            for index, layer in enumerate(prepared.layers)
            if any(sender.layer == INPUT for sender in layer.senders)
        ),
    )
    metadata = {
        "network": type(network).__name__,
        "sinabs": sinabs.__version__,
        "torch": torch.__version__,
    }
    return Program(tuple(cores), stage, chip, metadata), (*prepared.checks, *checks)


def _cores(prepared: PreparedNetwork) -> tuple[list[Core], list[Check]]:
    """Let sinabs discretise the layers, and read the integers off its objects."""
    backend = _backend(prepared)
    layers = backend.dynapcnn_layers
    # sinabs numbers layers anew; the convolutions carry our position through its copies.
    position = {index: layer.conv.position for index, layer in layers.items()}
    cores: dict[int, Core] = {}
    checks: list[Check] = []
    for index, layer in layers.items():
        destinations = [
            Destination(position[target], int(pool[0]))
            for target, pool in zip(backend.layer_destination_map[index], layer.pool, strict=True)
            if target >= 0
        ]
        plan = prepared.layers[position[index]]
        cores[position[index]] = _core(plan, layer, destinations, checks)
    return [cores[index] for index in range(len(prepared.layers))], checks


def _backend(prepared: PreparedNetwork) -> Any:
    stage_shape = prepared.input.output_shape
    try:
        # New layers and sinabs' sample input draw random numbers; the caller's seed must not move.
        with torch.random.fork_rng(devices=[]):
            return DynapcnnNetwork(_PlainNetwork(prepared), stage_shape, batch_size=1)
    except Exception as error:
        raise ConversionError(
            f"sinabs' backend refuses the network ({type(error).__name__}: {first_line(error)}):"
            " simplify its branches"
        ) from error


class _PlainNetwork(nn.Module):
    """The prepared layers as a torch network of Conv2d, IAFSqueeze, SumPool2d and Merge."""

    def __init__(self, prepared: PreparedNetwork) -> None:
        super().__init__()
        self.senders = [layer.senders for layer in prepared.layers]
        # torch types what a ModuleDict holds as bare modules, so the steps are kept aside too.
        self._steps: dict[int, nn.ModuleDict] = {}
        blocks: dict[str, nn.Module] = {}
        for index, layer in enumerate(prepared.layers):
            steps: OrderedDict[str, nn.Module] = OrderedDict()
            for place, sender in enumerate(layer.senders):
                if sender.layer != INPUT:
                    # Also where it pools nothing: sinabs' backend (3.1.3) stumbles over neurons
                    # with both a pooled and a direct destination.
                    steps[f"pool{place}"] = sl.SumPool2d(sender.pooling)
                if place:
                    steps[f"merge{place}"] = sl.Merge()
            conv = _plain_conv(layer)
            # A plain attribute: sinabs' copies keep it, whatever number they give the layer.
            conv.__dict__["position"] = index
            steps["weights"] = conv
            steps["neurons"] = _plain_neuron(layer)
            blocks[str(index)] = self._steps[index] = nn.ModuleDict(steps)
        self.blocks = nn.ModuleDict(blocks)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Run the layers in order; the last one's spikes are the output."""
        outputs = {INPUT: values}
        for index, senders in enumerate(self.senders):
            block = self._steps[index]
            inputs = None
            for place, sender in enumerate(senders):
                arriving = outputs[sender.layer]
                if sender.layer != INPUT:
                    arriving = block[f"pool{place}"](arriving)
                inputs = arriving if inputs is None else block[f"merge{place}"](inputs, arriving)
            outputs[index] = block["neurons"](block["weights"](inputs))
        return outputs[len(self.senders) - 1]


def _plain_conv(layer: PreparedLayer) -> nn.Conv2d:
    weights = layer.convolution.weights
    conv = nn.Conv2d(
        weights.shape[1],
        weights.shape[0],
        (weights.shape[2], weights.shape[3]),
        stride=layer.convolution.stride,
        padding=layer.convolution.padding,
        bias=layer.bias is not None,
    )
    conv.weight.data = weights.clone()
    if conv.bias is not None and layer.bias is not None:
        conv.bias.data = layer.bias.clone()
    return conv


def _plain_neuron(layer: PreparedLayer) -> sl.IAFSqueeze:
    neuron = layer.neuron
    if neuron is None:
        threshold = _silent_threshold(layer)
        return sl.IAFSqueeze(batch_size=1, spike_threshold=threshold, min_v_mem=-threshold)
    spiking = sl.IAFSqueeze(
        batch_size=1,
        spike_threshold=neuron.threshold,
        min_v_mem=neuron.min_v_mem,
        reset_fn=MembraneReset() if neuron.return_to_zero else MembraneSubtract(),
    )
    if neuron.state is not None:
        spiking.v_mem = neuron.state[None].clone()
    return spiking


def _silent_threshold(layer: PreparedLayer) -> float:
    """Return the threshold that becomes the largest integer without limiting the weights' scale.

    A little below `largest / scale`, so that its own 16-bit scale lies just above the weights'.
    """
    scale = float(_weight_scale(layer))
    return (NEURON_MAX - 0.4) / scale if np.isfinite(scale) else 1.0


def _weight_scale(layer: PreparedLayer) -> torch.Tensor:
    bias = layer.bias if layer.bias is not None else torch.zeros(1)
    return min(
        torch.as_tensor(determine_discretization_scale(values, DYNAPCNN_WEIGHT_PRECISION_BITS))
        for values in (layer.convolution.weights, bias)
    )


def _scale(layer: PreparedLayer) -> float:
    """Return the one factor that sinabs applies to a layer: the smallest of its parts'."""
    neuron = _plain_neuron(layer)
    scales = [_weight_scale(layer)]
    states = [torch.tensor((_number(neuron.min_v_mem), _number(neuron.spike_threshold)))]
    if neuron.is_state_initialised():
        states.append(neuron.v_mem)
    for values in states:
        scale = determine_discretization_scale(values, DYNAPCNN_STATE_PRECISION_BITS)
        scales.append(torch.as_tensor(scale))
    return float(min(scales))


def _number(value: Any) -> float:
    """Return the value of a one-element tensor that sinabs types as optional."""
    return float(value)


def _core(
    plan: PreparedLayer, layer: Any, destinations: list[Destination], checks: list[Check]
) -> Core:
    neurons = layer.spk
    state = neurons.v_mem[0] if neurons.is_state_initialised() and neurons.v_mem.any() else None
    bias = layer.conv.bias
    return Core(
        name=plan.name,
        neuron_name=plan.neuron_name,
        weights=_integers(layer.conv.weight),
        threshold_high=READOUT_THRESHOLD
        if plan.readout == "potential"
        else _high(plan, int(neurons.spike_threshold)),
        threshold_low=_low(plan, int(neurons.min_v_mem), checks),
        input_shape=plan.input_shape,
        stride=plan.convolution.stride,
        padding=plan.convolution.padding,
        return_to_zero=isinstance(neurons.reset_fn, MembraneReset),
        bias=None if bias is None or not bias.any() else _integers(bias),
        initial_state=None if state is None else _integers(state),
        destinations=tuple(sorted(destinations, key=lambda item: item.core)),
        readout=plan.readout,
        scale=_scale(plan),
    )


def _integers(values: torch.Tensor) -> np.ndarray:
    """Return what sinabs writes into the chip's configuration: the value without its fraction."""
    return values.detach().int().numpy()


def _high(plan: PreparedLayer, threshold: int) -> int:
    if threshold < 1:
        raise ConversionError(
            f"{plan.neuron_name}: its threshold becomes {threshold} when the largest weight of"
            f" {plan.name} takes 8 bits: train with smaller weights or a higher threshold"
        )
    return threshold


def _low(plan: PreparedLayer, bound: int, checks: list[Check]) -> int:
    """Return the lower bound, which must not be 0 on the silicon (datasheet 3.2.4.6.3)."""
    if bound != 0:
        return bound
    checks.append(
        Check(
            plan.neuron_name,
            "warning",
            "threshold_low",
            "its lower bound becomes 0, which the silicon can't do, and was set to -1",
            value=0,
            limit=-1,
            remedy="train with a min_v_mem below 0",
        )
    )
    return -1
