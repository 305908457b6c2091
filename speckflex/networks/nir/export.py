"""Programs as NIR graphs: the network in the chip's integers, for other simulators to run."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.files import suffix_problem, write_whole
from speckflex.errors import ConversionError, FileFormatError
from speckflex.networks.nir._image import hdf5_image
from speckflex.networks.nir.options import LOWER_BOUND
from speckflex.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    import h5py

    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage, Shape

__all__ = ["node_names", "save_nir"]

RESET = "reset"  # metadata of a neuron node, to be read by people
# An IF node of version 1.0.5 subtracts its threshold, one of version 1.0.6 or newer returns to
# `v_reset`. The file states the newest version that defines its neurons as they are.
SUBTRACTING, RETURNING = "1.0.5", "1.0.8"


def save_nir(program: Program, path: str | Path) -> None:
    """Write a program's network as a NIR graph, in the chip's integers.

    Weights and thresholds are the program's, as floats; a time step is one event. What NIR has no
    field for stands in the metadata of the neurons: the lower bound of the potential, and whether
    a spike subtracts the threshold.

    Args:
        program: of any chip.
        path: of the file, which ends in .nir.

    Raises:
        ConversionError: NIR can't say what the program does.
        FileFormatError: the file can't be written, or its name has the suffix of another format.
    """
    problem = suffix_problem(path, ".nir")
    if problem:
        raise FileFormatError(problem)
    problems = [*_stage_problems(program.input), *_core_problems(program)]
    if problems:
        raise ConversionError(*problems)
    graph = _graph_of(program)
    write_whole(path, hdf5_image(lambda file: _write(file, program, graph)), FileFormatError)


def node_names(program: Program) -> list[tuple[str, str]]:
    """Return the names that each core's weights and neurons have in the graph, each name once."""
    taken: Counter[str] = Counter({"input": 1, "output": 1})
    names = []
    for core in program.cores:
        weights = _free(core.name or "layer", taken)
        names.append((weights, _free(core.neuron_name or f"{weights}_neurons", taken)))
    return names


def _free(name: str, taken: Counter[str]) -> str:
    # A slash makes a group inside a group in HDF5, and nothing may follow a NUL.
    plain = "".join(c if c.isprintable() and c != "/" else "_" for c in name)
    free, number = plain, 1
    while taken[free]:
        number += 1
        free = f"{plain}_{number}"
    taken[free] += 1
    return free


def _stage_problems(stage: InputStage) -> list[str]:
    changed = {
        "merges polarities": stage.merge_polarities,
        "drops a polarity": not (stage.keep_off and stage.keep_on),
        "crops": stage.origin != (0, 0)
        or stage.region != tuple(map(operator.floordiv, stage.shape[1:], stage.pooling)),
        "mirrors": stage.mirror_y or stage.mirror_x or stage.swap_xy,
        "filters events": stage.event_filter is not None,
    }
    return [
        f"the input stage {what}, for which NIR has no node: convert a network without that"
        for what, does in changed.items()
        if does
    ]


def _core_problems(program: Program) -> list[str]:
    problems = []
    ends = [core.name for core in program.cores if not core.destinations]
    if len(ends) > 1:
        problems.append(
            f"layers {', '.join(ends)} all end the network, a NIR graph needs one output: convert"
            " a network with one"
        )
    for core in program.cores:
        held = {
            "a bias at each tick of the slow clock": core.bias is not None,
            "an initial potential": core.initial_state is not None,
            "a decimator": core.decimator_interval is not None,
            "a congestion balancer": core.congestion_balancer,
            "a feature shift": any(end.feature_shift for end in core.destinations),
        }
        problems += [
            f"layer {core.name} has {what}, for which NIR has no node: convert it without"
            for what, has in held.items()
            if has
        ]
    return problems


@dataclass
class _Parts:
    """Nodes by name, each with its fields, and edges."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def pooled(self, source: str, sides: tuple[int, int]) -> str:
        """Return what sends the spikes of `source`, a pooling of them where there is one."""
        if sides == (1, 1):
            return source
        name = f"{source}_pool{sides[0]}" if sides[0] == sides[1] else f"{source}_pool"
        if name not in self.nodes:
            pair = np.array(sides, np.int64)
            fields = {"kernel_size": pair, "stride": pair, "padding": np.zeros(2, np.int64)}
            self.nodes[name] = {"type": "SumPool2d", **fields}
            self.edges.append((source, name))
        return name


def _graph_of(program: Program) -> _Parts:
    parts = _Parts()
    parts.nodes["input"] = {"type": "Input", "shape": np.array(program.input.shape, np.int64)}
    names = node_names(program)
    ends = []
    for core, (weights, neurons) in zip(program.cores, names, strict=True):
        parts.nodes[weights] = _convolution(core)
        ends.append(weights)
        if core.readout == "spikes":
            parts.nodes[neurons] = _neurons(core)
            parts.edges.append((weights, neurons))
            ends[-1] = neurons
    first = parts.pooled("input", program.input.pooling)
    parts.edges += [(first, names[end.core][0]) for end in program.input.destinations]
    for core, end in zip(program.cores, ends, strict=True):
        for target in core.destinations:
            sender = parts.pooled(end, (target.pooling, target.pooling))
            parts.edges.append((sender, names[target.core][0]))
        if not core.destinations:
            shape = np.array(core.output_shape, np.int64)
            parts.nodes["output"] = {"type": "Output", "shape": shape}
            parts.edges.append((end, "output"))
    return parts


def _convolution(core: Core) -> dict[str, Any]:
    return {
        "type": "Conv2d",
        "input_shape": np.array(core.input_shape[1:], np.int64),
        "weight": core.weights.astype(np.float32),
        "bias": np.zeros(len(core.weights), np.float32),
        "stride": np.array(core.stride, np.int64),
        "padding": np.array(core.padding, np.int64),
        "dilation": np.ones(2, np.int64),
        "groups": 1,
    }


def _neurons(core: Core) -> dict[str, Any]:
    shape: Shape = core.output_shape
    fields: dict[str, Any] = {
        "type": "IF",
        "r": np.ones(shape, np.float32),
        "v_threshold": np.full(shape, core.threshold_high, np.float32),
        "metadata": {
            LOWER_BOUND: float(core.threshold_low),
            RESET: "to zero" if core.return_to_zero else "subtract the threshold",
        },
    }
    if core.return_to_zero:
        fields["v_reset"] = np.zeros(shape, np.float32)
    return fields


def _write(file: h5py.File, program: Program, parts: _Parts) -> None:
    to_zero = all(core.return_to_zero or core.readout != "spikes" for core in program.cores)
    file["version"] = RETURNING if to_zero else SUBTRACTING
    metadata = {"speckflex": __version__, "program_sha256": program.sha256, "chip": program.chip}
    root = file.create_group("node")
    _write_node(root, {"type": "NIRGraph", "metadata": metadata})
    root["edges"] = np.array(parts.edges, dtype=object)
    nodes = root.create_group("nodes")
    for name, fields in parts.nodes.items():
        _write_node(nodes.create_group(name), fields)


def _write_node(group: h5py.Group, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            _write_node(group.create_group(name), value)
        elif isinstance(value, np.ndarray) and value.size > 2:  # short ones would only grow
            group.create_dataset(name, data=value, compression="gzip")
        else:
            group[name] = value
