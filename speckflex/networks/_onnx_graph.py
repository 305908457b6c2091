"""The graph in an ONNX file: checked for size and origin, its nodes in a row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.extras import need_modules
from speckflex._support.text import first_line, shown
from speckflex.errors import FileFormatError, NetworkError, SpeckflexError
from speckflex.networks._limits import MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from speckflex.program.records import Shape

__all__ = ["OnnxGraph", "OnnxNode", "OpenSizeError", "read_graph"]

MOST_NODES = 10_000
# How often sizes are inferred again after more constants are known; Keras' graphs need five.
MOST_INFERRED = 50
# Values of a constant that may be a shape, and not a weight.
SMALL = 1000
# Values of a constant that the graph computes; the largest layer of the papers has 2.4 million.
MOST_COMPUTED = 2**25
# What constants are computed with; none makes more of them than its inputs' broadcast.
ON_CONSTANTS = {
    *("Constant", "Identity", "Cast", "Transpose", "Reshape", "Flatten", "Unsqueeze", "Squeeze"),
    *(
        "Shape",
        "ConstantOfShape",
        "Concat",
        "Gather",
        "Slice",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Sqrt",
        "Neg",
        "Pow",
    ),
    "Reciprocal",
}
FLOATING = (1, 10, 11, 16)  # TensorProto: FLOAT, FLOAT16, DOUBLE, BFLOAT16
MAP_AXES = 4


class OpenSizeError(NetworkError):
    """A graph leaves the size of its input open, and none was given."""


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node on the way from the input to the output.

    Args:
        kind: its operator.
        where: file, name and operator, as messages begin.
        attributes: by name, as Python values.
        constants: its inputs in order; None in the place of the current values.
        sizes_in: of the current values before it.
        sizes_out: of the current values behind it.
    """

    kind: str
    where: str
    attributes: dict[str, Any]
    constants: list[np.ndarray | None]
    sizes_in: tuple[int, ...]
    sizes_out: tuple[int, ...]

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute, lists as tuples and texts as str."""
        value = self.attributes.get(name, default)
        if isinstance(value, bytes):
            return value.decode("ascii", "replace")
        return tuple(value) if isinstance(value, list) else value

    def constant(self, index: int) -> np.ndarray:
        """Return a constant input.

        Raises:
            NetworkError: the input is missing, or no constant.
        """
        value = self.constants[index] if index < len(self.constants) else None
        if value is None:
            raise NetworkError(f"{self.where} has no constant input {index}: export it again")
        return value

    def optional(self, index: int) -> np.ndarray | None:
        """Return a constant input that may be missing."""
        return self.constants[index] if index < len(self.constants) else None

    @property
    def to_floating(self) -> bool:
        """Whether a Cast keeps floating numbers."""
        return self.attributes.get("to") in FLOATING

    def order_after_flattening(self, axes: tuple[int, ...]) -> np.ndarray | None:
        """Return for each flattened value its place in the order channel, y, x; None if the same.

        Args:
            axes: which of (sample, channel, y, x) each axis before the flattening is.
        """
        if axes == tuple(range(MAP_AXES)):
            return None
        size = dict(zip(axes, self.sizes_in, strict=True))
        places = np.arange(size[1] * size[2] * size[3]).reshape(1, size[1], size[2], size[3])
        return places.transpose(axes).reshape(-1)


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A graph.

    Args:
        input_sizes: of the input, the first one the number of samples.
        path: the nodes from the input to the output.
    """

    input_sizes: tuple[int, ...]
    path: list[OnnxNode]


def read_graph(path: Path, input_shape: Shape | None) -> OnnxGraph:
    """Return the graph in an ONNX file.

    Args:
        path: the file.
        input_shape: (channel, y, x), for sizes that the file leaves open.

    Raises:
        MissingExtraError: the onnx package is missing.
        NetworkError: the nodes form no row.
        FileFormatError: the file is damaged, or too large.
    """
    need_modules("onnx", work=f"{path}: an ONNX graph")
    import onnx

    if path.stat().st_size > MAX_UNPACKED_BYTES:
        raise FileFormatError(
            f"{path}: has more than {MAX_UNPACKED_BYTES} bytes: export a smaller network"
        )
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
        return _Reader(path, model).graph(input_shape)
    except SpeckflexError:
        raise
    except Exception as error:  # protobuf and onnx raise anything on a damaged file
        raise FileFormatError(
            f"{path}: is damaged or no ONNX graph ({shown(first_line(error))}): export it again"
        ) from error


@dataclass
class _Reader:
    """Reads one model."""

    path: Path
    model: Any
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    n_inferred: int = 0

    def graph(self, input_shape: Shape | None) -> OnnxGraph:
        if len(self.model.graph.node) > MOST_NODES or self.model.functions:
            raise NetworkError(
                f"{self.path}: has more than {MOST_NODES} nodes, or functions of its own: export"
                " it with plain operators"
            )
        name, sizes = self.input_sizes(input_shape)
        weights = {item.name: item for item in self.model.graph.initializer}
        self.constants = {key: self.array(item) for key, item in weights.items()}
        self.sizes[name] = sizes
        return OnnxGraph(sizes, list(self.walk(name)))

    def infer_sizes(self) -> None:
        """Let onnx infer the sizes of all values from the input and the constants so far.

        Constants are computed here and not there: onnx has no limit on their size.
        """
        import onnx
        from onnx import helper, numpy_helper

        self.n_inferred += 1
        if self.n_inferred > MOST_INFERRED:
            raise NetworkError(
                f"{self.path}: its sizes depend on each other in more than {MOST_INFERRED} steps:"
                " simplify the graph, such as with python -m onnxsim"
            )
        small = {key: value for key, value in self.constants.items() if value.size <= SMALL}
        graph = helper.make_graph(
            [node for node in self.model.graph.node if node.output[0] not in self.constants],
            "sizes",
            [item for item in self.model.graph.input if item.name not in self.constants]
            + [
                helper.make_tensor_value_info(
                    key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
                )
                for key, value in self.constants.items()
                if key not in small
            ],
            list(self.model.graph.output),
            [numpy_helper.from_array(value, key) for key, value in small.items()],
        )
        known = onnx.ModelProto(ir_version=self.model.ir_version, graph=graph)
        known.opset_import.extend(self.model.opset_import)
        inferred = onnx.shape_inference.infer_shapes(known)
        for value in (*inferred.graph.value_info, *inferred.graph.output):
            dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            self.sizes[value.name] = tuple(dims)

    def input_sizes(self, input_shape: Shape | None) -> tuple[str, tuple[int, ...]]:
        """Return name and sizes of the input, and write the sizes into the model."""
        weights = {item.name for item in self.model.graph.initializer}
        inputs = [item for item in self.model.graph.input if item.name not in weights]
        if len(inputs) != 1 or len(self.model.graph.output) != 1:
            raise NetworkError(
                f"{self.path}: has {len(inputs)} inputs and {len(self.model.graph.output)} outputs:"
                " export a network of one each"
            )
        dims = list(inputs[0].type.tensor_type.shape.dim)
        if len(dims) not in {2, MAP_AXES}:
            raise NetworkError(
                f"{self.path}: its input has {len(dims)} axes, not 4 of (sample, channel, y, x) or"
                " 2 of (sample, value): export it for one time step"
            )
        # reshapes may name the number of samples that the network was exported for
        dims[0].dim_value = dims[0].dim_value or 1
        given = input_shape if input_shape is not None and len(dims) == MAP_AXES else ()
        if given and dims[-1].dim_value and not dims[1].dim_value:
            given = (*given[1:], given[0])  # y, x, channel: exporters leave y and x open
        for dim, size in zip(dims[1:], given, strict=False):
            if not dim.dim_value:
                dim.dim_value = size
        sizes = tuple(dim.dim_value for dim in dims)
        if 0 in sizes:
            raise OpenSizeError(
                f"{self.path}: leaves the size of its input open: give --input-shape, or export it"
                " with a fixed size"
            )
        return inputs[0].name, sizes

    def array(self, tensor: Any) -> np.ndarray:
        """Return the values of a tensor, also of one in a file beside the model."""
        import onnx
        from onnx import external_data_helper, numpy_helper

        claimed = math.prod(tensor.dims) * 8
        if any(size < 0 for size in tensor.dims) or claimed > 4 * MAX_UNPACKED_BYTES:
            raise FileFormatError(
                f"{self.path}: {shown(tensor.name)} claims {claimed} bytes: export it again"
            )
        if external_data_helper.uses_external_data(tensor):
            place = {item.key: item.value for item in tensor.external_data}.get("location", "")
            beside = self.path.parent / place
            if not place or beside.name != place or beside.is_symlink() or not beside.is_file():
                raise NetworkError(
                    f"{self.path}: its weights are in the file {shown(place)!r}, which is not"
                    " beside it: put it there, or export with external_data=False"
                )
            copied = onnx.TensorProto()
            copied.CopyFrom(tensor)
            return numpy_helper.to_array(copied, base_dir=str(self.path.parent))
        return numpy_helper.to_array(tensor)

    def walk(self, current: str) -> Iterator[OnnxNode]:
        """Yield the nodes from the input to the output, constants computed on the way."""
        for node in self.model.graph.node:
            inputs = list(node.input)
            if all(name in self.constants for name in inputs if name):
                self.compute(node)
            elif node.op_type == "Shape" and inputs == [current]:
                self.constants[node.output[0]] = np.array(self.size_of(current), np.int64)
            elif inputs.count(current) == 1 and all(
                name == current or not name or name in self.constants for name in inputs
            ):
                yield self.node(node, current)
                current = node.output[0]
            else:
                raise NetworkError(
                    f"{self.where(node)} joins branches or starts one: only a row of layers is read"
                    " from ONNX; convert the network from torch"
                )
        if current != self.model.graph.output[0].name:
            raise NetworkError(f"{self.path}: its output is not what its last node gives")

    def size_of(self, name: str) -> tuple[int, ...]:
        if 0 in self.sizes.get(name, (0,)):
            self.infer_sizes()
        sizes = self.sizes.get(name, (0,))
        if 0 in sizes:
            raise NetworkError(
                f"{self.path}: the size of {shown(name)} can't be inferred: export it with a fixed"
                " input size"
            )
        return sizes

    def where(self, node: Any) -> str:
        return f"{self.path}: node {shown(node.name or node.output[0])} ({shown(node.op_type)})"

    def node(self, node: Any, current: str) -> OnnxNode:
        return OnnxNode(
            kind=node.op_type
            if node.domain in {"", "ai.onnx"}
            else f"{node.domain}.{node.op_type}",
            where=self.where(node),
            attributes=_attributes(node),
            constants=[self.constants.get(name) for name in node.input],
            sizes_in=self.size_of(current),
            sizes_out=self.size_of(node.output[0]),
        )

    def compute(self, node: Any) -> None:
        """Compute a node whose inputs are all constants."""
        from onnx.reference import ReferenceEvaluator

        if node.op_type not in ON_CONSTANTS or node.domain not in {"", "ai.onnx"}:
            raise NetworkError(
                f"{self.where(node)} computes a constant in a way that is not read: simplify the"
                " graph, such as with python -m onnxsim"
            )
        given = {name: self.constants[name] for name in node.input if name}
        inputs = [self.constants[name].size for name in node.input if name]
        total = sum(inputs)
        if node.op_type in {"Add", "Sub", "Mul", "Div", "Pow", "Gather"}:
            total = math.prod(inputs)
        if node.op_type == "ConstantOfShape":
            total = math.prod(abs(size) for size in next(iter(given.values())).tolist())
        if total > MOST_COMPUTED:
            raise FileFormatError(
                f"{self.where(node)} makes a constant of {total} values, more than {MOST_COMPUTED}:"
                " simplify the graph, such as with python -m onnxsim"
            )
        evaluator = ReferenceEvaluator(node, opsets={"": self.opset()})
        for name, value in zip(node.output, evaluator.run(None, given), strict=False):
            self.constants[name] = np.asarray(value)

    def opset(self) -> int:
        for item in self.model.opset_import:
            if item.domain in {"", "ai.onnx"}:
                return int(item.version)
        raise NetworkError(f"{self.path}: names no version of ONNX' operators: export it again")


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import AttributeProto, helper

    plain = {
        AttributeProto.INT,
        AttributeProto.INTS,
        AttributeProto.FLOAT,
        AttributeProto.STRING,
        AttributeProto.FLOATS,
    }
    return {
        item.name: helper.get_attribute_value(item) for item in node.attribute if item.type in plain
    }
