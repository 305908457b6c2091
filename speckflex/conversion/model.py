"""From a model file to its Program, with all findings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from speckflex._support.extras import need_modules
from speckflex._support.files import hash_file
from speckflex.errors import NetworkError
from speckflex.fitting.check import check_program, ordered
from speckflex.fitting.checks import Check
from speckflex.program.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from typing_extensions import Unpack

    from speckflex.conversion.options import ConvertArguments
    from speckflex.fitting.check import CheckTable
    from speckflex.networks.fold_report import FoldReport
    from speckflex.networks.nir.options import NirOptions
    from speckflex.program.records import Shape

__all__ = [
    "ConvertedModel",
    "Sensor",
    "check_model",
    "convert_model",
    "read_model",
    "stated_shape",
]

# The rule of the finding that folding dropped something, and the entry of a program's metadata
# that keeps it.
FOLDING = "folding"
# The work that needs torch, in messages.
NETWORK_FILE = "{}: a network that is no .speck file"


def _ignore(_stage: str) -> None:
    """Do nothing with the name of a stage."""


@dataclass(frozen=True)
class Sensor:
    """The (channel, y, x) shape that recordings state, for a network that may take several."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class ConvertedModel:
    """A program and, where the file held one, the torch network it was made of.

    Args:
        path: the file.
        program: what boards run.
        network: the bias-free network that was converted; None for a `.speck` file.
        trained: the network as it was loaded, where folding changed it; else None.
        folding: what folding dropped; None where nothing was folded.
        checks: findings of the conversion; of a `.speck` file, those that its metadata keeps.
        file_sha256: hash of the file; "" for a network in memory.
    """

    path: Path
    program: Program
    network: nn.Module | None = None
    trained: nn.Module | None = None
    folding: FoldReport | None = None
    checks: tuple[Check, ...] = ()
    file_sha256: str = ""


def read_model(  # noqa: PLR0913 - a file may leave each of them open
    path: str | Path,
    *,
    input_shape: Shape | Sensor | None = None,
    chip: str = "speck2e",
    factory: str | None = None,
    key: str | None = None,
    nir: NirOptions | None = None,
    progress: Callable[[str], None] = _ignore,
    **options: Unpack[ConvertArguments],
) -> ConvertedModel:
    """Read a `.pt`, `.nir` or `.speck` file, fold it without bias and convert it.

    Args:
        path: the file.
        input_shape: (channel, y, x) of the events, or the recordings' sensor. A `.speck` file
            knows its own, a `.nir` file may, and the sizes of a network's layers may tell it.
        chip: "speck2e", "speck2f" or "unbounded".
        factory: what builds the network of a state dict, with its arguments.
        key: the part of a checkpoint that holds the network, if it has several.
        nir: what a NIR graph leaves open, such as its time step.
        progress: called with the name of each stage as it begins, such as "folding net.pt".
        options: of `convert`, by name.

    Raises:
        SpeckflexError: the file, the network or the chip's limits do not allow it.
    """
    path = Path(path)
    if _is_program(path):
        progress(f"loading {path.name}")
        _refuse_nir_options(path, nir)
        program = _load_program(path, input_shape, factory or key)
        checks = _kept_checks(program)
        return ConvertedModel(path, program, checks=checks, file_sha256=hash_file(path))
    loaded = _load_and_fold(path, input_shape, nir, progress, factory=factory, key=key)
    progress(f"converting {path.name}")
    return replace(_convert(path, loaded, chip, options), file_sha256=hash_file(path))


def convert_model(
    network: nn.Module,
    *,
    input_shape: Shape | Sensor | None = None,
    chip: str = "speck2e",
    progress: Callable[[str], None] = _ignore,
    **options: Unpack[ConvertArguments],
) -> ConvertedModel:
    """Fold a network in memory without bias and convert it, as `read_model` does with a file.

    Args:
        network: of torch and sinabs layers; stays as it is.
        input_shape: (channel, y, x) of the events, or the recordings' sensor; the sizes of the
            network's layers may tell it.
        chip: "speck2e", "speck2f" or "unbounded".
        progress: called with the name of each stage as it begins.
        options: of `convert`, by name.

    Raises:
        SpeckflexError: the network or the chip's limits do not allow it.
    """
    from speckflex.networks.spiking import spiking_network

    shape = None if isinstance(input_shape, Sensor) else input_shape
    sensor = input_shape.shape if isinstance(input_shape, Sensor) else None
    name = type(network).__name__
    progress(f"folding {name}")
    trained = spiking_network(network, input_shape=shape)
    loaded = _fold(trained, shape, sensor, name)
    progress(f"converting {name}")
    return _convert(Path(name), loaded, chip, options)


def _convert(path: Path, loaded: _Loaded, chip: str, options: ConvertArguments) -> ConvertedModel:
    from speckflex.conversion.convert import convert_with_checks

    network, folding = loaded.network, loaded.folding
    conversion = convert_with_checks(network, loaded.input_shape, chip=chip, **options)
    found = _folding_checks(folding)
    kept = {check.rule: check.message for check in found}
    metadata = {**conversion.program.metadata, **kept}
    return ConvertedModel(
        path=path,
        program=replace(conversion.program, metadata=metadata),
        network=network,
        trained=loaded.trained if folding.layers else None,
        folding=folding if folding.layers else None,
        checks=(*found, *conversion.checks),
    )


def check_model(  # noqa: PLR0913 - a file may leave each of them open
    path: str | Path,
    *,
    input_shape: Shape | Sensor | None = None,
    chip: str = "speck2e",
    factory: str | None = None,
    key: str | None = None,
    nir: NirOptions | None = None,
    progress: Callable[[str], None] = _ignore,
) -> CheckTable:
    """Return what the model in a file costs on the chip, and all that is in its way.

    Args:
        path: a `.pt`, `.nir` or `.speck` file.
        input_shape: (channel, y, x) of the events, or the recordings' sensor. A `.speck` file
            knows its own, a `.nir` file may, and the sizes of a network's layers may tell it.
        chip: "speck2e", "speck2f" or "unbounded"; a `.speck` file knows its own.
        factory: what builds the network of a state dict, with its arguments.
        key: the part of a checkpoint that holds the network, if it has several.
        nir: what a NIR graph leaves open, such as its time step.
        progress: called with the name of each stage as it begins.

    Raises:
        SpeckflexError: the file can't be read, or the network does not run on that shape.
    """
    path = Path(path)
    if _is_program(path):
        progress(f"loading {path.name}")
        _refuse_nir_options(path, nir)
        program = _load_program(path, input_shape, factory or key)
        return check_program(program, found=_kept_checks(program))
    from speckflex.conversion.convert import check_network

    loaded = _load_and_fold(path, input_shape, nir, progress, factory=factory, key=key)
    progress(f"checking {path.name}")
    table = check_network(loaded.network, loaded.input_shape, chip=chip)
    return replace(table, checks=ordered([*_folding_checks(loaded.folding), *table.checks]))


def _is_program(path: Path) -> bool:
    from speckflex.networks.file_kinds import PROGRAM, kind_of_file

    return path.suffix.lower() == ".speck" or kind_of_file(path) is PROGRAM


def _load_program(path: Path, input_shape: Shape | Sensor | None, choice: str | None) -> Program:
    """Return the program in a file, checked against the shape, factory or key that were given."""
    program = Program.load(path)
    if choice is not None:
        raise NetworkError(
            f"{path}: holds a program, which needs no factory and no key, but {choice} was given:"
            " leave it out"
        )
    given = None if isinstance(input_shape, Sensor) else input_shape
    if given is not None and tuple(given) != program.input.shape:
        raise NetworkError(
            f"{path}: its program takes events of shape {program.input.shape} (channel, y, x),"
            f" not {tuple(given)}: convert its network with that shape, or choose other data"
        )
    return program


def _refuse_nir_options(path: Path, nir: NirOptions | None) -> None:
    if nir is not None and (nir.dt is not None or nir.lower_bound is not None):
        raise NetworkError(
            f"{path}: holds a program, for which --dt and --lower-bound have no meaning: leave them"
            " out"
        )


def stated_shape(path: str | Path) -> Shape | None:
    """Return the (channel, y, x) that the network in a file states for its input, if it does.

    Raises:
        SpeckflexError: the file is missing or damaged.
    """
    if _is_program(Path(path)):
        return None
    need_modules("torch", "sinabs", work=NETWORK_FILE.format(path))
    from speckflex.networks.files import stated_input_shape

    return stated_input_shape(path)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A network as loaded, the one without bias, what that dropped, and their input's shape."""

    trained: nn.Module
    network: nn.Module
    folding: FoldReport
    input_shape: Shape


def _load_and_fold(
    path: Path,
    input_shape: Shape | Sensor | None,
    nir: NirOptions | None,
    progress: Callable[[str], None],
    **choices: str | None,
) -> _Loaded:
    """Return the network in a file, and the shape of its input."""
    need_modules("torch", "sinabs", work=NETWORK_FILE.format(path))
    progress(f"loading {path.name}")
    from speckflex.networks.files import load_network

    sensor = input_shape.shape if isinstance(input_shape, Sensor) else None
    shape = _known_shape(path, None if isinstance(input_shape, Sensor) else input_shape)
    trained = load_network(path, input_shape=shape, nir=nir, **choices)
    progress(f"folding {path.name}")
    return _fold(trained, shape, sensor, str(path))


def _fold(trained: nn.Module, shape: Shape | None, sensor: Shape | None, source: str) -> _Loaded:
    """Return a network, folded, with the shape of its input."""
    from speckflex.conversion.input_shape import find_input_shape
    from speckflex.networks.fold import fold_with_report
    from speckflex.networks.spiking import spiking_network

    if shape is None:
        shape = find_input_shape(trained, sensor=sensor, source=source)
        # ReLUs that are functions are found with a shape alone.
        trained = spiking_network(trained, input_shape=shape)
    network, folding = fold_with_report(trained, input_shape=shape)
    return _Loaded(trained, network, folding, shape)


def _known_shape(path: Path, input_shape: Shape | None) -> Shape | None:
    """Return the shape that the user gave or the file states; None where neither does."""
    stated = stated_shape(path)
    if input_shape is not None and stated not in {None, tuple(input_shape)}:
        raise NetworkError(
            f"{path}: it states events of shape {stated} (channel, y, x), not"
            f" {tuple(input_shape)}: leave the input shape out, or choose other data"
        )
    return input_shape or stated


def _folding_checks(folding: FoldReport) -> tuple[Check, ...]:
    """Return a warning where folding dropped a constant that the network was trained with."""
    worst = max(folding.layers, key=lambda layer: layer.dropped_max, default=None)
    if worst is None or not worst.dropped_max:
        return ()
    message = (
        f"biases and the means of batch norms are dropped, up to {worst.dropped_max:.3g} firing"
        f" thresholds per time step in layer {worst.layer}"
    )
    return (_folding_check(message, worst.dropped_max),)


def _kept_checks(program: Program) -> tuple[Check, ...]:
    """Return the warning about folding that the program's metadata keeps."""
    message = " ".join(str(program.metadata.get(FOLDING, "")).split())
    return (_folding_check(message),) if message else ()


def _folding_check(message: str, dropped: float | None = None) -> Check:
    remedy = "speckflex fold shows every layer, and speckflex finetune restores accuracy"
    return Check("", "warning", FOLDING, message, value=dropped, remedy=remedy)
