"""What a file is: its hash, and what it says about itself."""

from __future__ import annotations

from collections import Counter
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.json_lines import read_json_lines
from speckflex._support.reading import check_is_file, hash_of_file
from speckflex._support.run_folder import unfinished
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from speckflex.program.records import Core

__all__ = ["describe_file"]

# A file of `speckflex probe` names its format in its first line.
PROBE, START = b'"speckflex probe"', 64
# What tells the lines of metrics files, and the checkpoint of a training.
NUMBER = (int, float)
SCALARS = (int, float, str)
EPOCH = {"epoch": int, "validation_accuracy": NUMBER}
TEST = {"test": str, "board": str}
CHECKPOINT = {"format": int, "settings": dict, "network": dict, "optimiser": dict, "history": list}


def describe_file(path: str | Path) -> dict[str, Any]:
    """Return kind, hash, layers and provenance of a file in plain JSON types.

    Args:
        path: a program (.speck), a recording (.h5), a report (report.json), a shard (.shard), a
            network or its weights (.pt, .nir, .onnx, .safetensors), a training's checkpoint or
            metrics, metrics of the pytest plugin (.jsonl), what was probed on a board (.json), or
            the folder of a run.

    Raises:
        SpeckflexError: the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    check_is_file(path, FileFormatError)
    try:
        if path.is_dir():
            return _run(path)
        with path.open("rb") as file:
            start = file.read(START)
        about = _reader_of(path, start)(path)
        size, digest = path.stat().st_size, hash_of_file(path)
    except OSError as error:
        raise FileFormatError(
            f"{path}: can't be read ({error.strerror}): check its path and permissions"
        ) from error
    return {"file": str(path), "bytes": size, "file_sha256": digest, **about}


def _reader_of(path: Path, start: bytes) -> Callable[[Path], dict[str, Any]]:
    """Return the function that describes a file, by its content, else by its name."""
    from speckflex.networks.file_kinds import PROGRAM, RECORDING, TORCH, kind_of_file

    if path.suffix.lower() == ".json" and PROBE in start:
        return _probe
    kinds = {".speck": _program, ".h5": _recording, ".json": _report, ".shard": _shard}
    if path.suffix.lower() in kinds:
        return kinds[path.suffix.lower()]
    if start[:1] == b"{" and not start.startswith(b"{}"):
        return _metrics
    by_content = {PROGRAM: _program, RECORDING: _recording, TORCH: _torch}
    return by_content.get(kind_of_file(path), _network)


def _shard(path: Path) -> dict[str, Any]:
    """Return which shard it is, of which deployment, and how much of it was played."""
    from speckflex.deployment._shard_file import read_shard

    content = read_shard(path)
    return {
        "kind": "shard",
        "shard": content.heading.name,
        "samples": len(content.heading.share),
        "played": content.played.n_samples,
        "whole": content.is_whole,
        "recordings": content.heading.samples,
        "layers": [],
        "provenance": dict(content.heading.identity),
    }


def _run(folder: Path) -> dict[str, Any]:
    """Return what the folder of a run holds: its report, and each file with its hash."""
    report = folder / "report.json"
    problem = unfinished(folder)
    if not report.is_file():
        raise FileFormatError(
            problem
            or f"{folder}: holds no report.json, so it is no run of speckflex deploy: name a file,"
            " or the folder that deploy --out wrote"
        )
    about = _report(report)
    return {
        "file": str(folder),
        **about,
        "kind": "run",
        "unfinished": problem,
        "files": {
            path.name: hash_of_file(path)
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        },
    }


def _metrics(path: Path) -> dict[str, Any]:
    """Return what a file of JSON lines holds: the epochs of a training, or figures of tests."""
    lines = read_json_lines(path)
    if all(_holds(line, EPOCH) and "loss" in line for line in lines):
        return _epochs(lines)
    if all(_holds(line, TEST) for line in lines):
        return _board_metrics(lines)
    raise FileFormatError(
        f"{path}: is no file of metrics that speckflex writes: give one of --metrics or"
        " --board-metrics"
    )


def _holds(value: Any, kinds: Mapping[str, type | tuple[type, ...]]) -> bool:
    """Return whether a value of JSON is an object with fields of these types."""
    return isinstance(value, dict) and all(
        isinstance(value.get(name), kind) for name, kind in kinds.items()
    )


def _epochs(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    best = max(epochs, key=lambda epoch: epoch["validation_accuracy"])
    return {
        "kind": "training metrics",
        "epochs": len(epochs),
        "best_epoch": best["epoch"],
        "best_validation_accuracy": best["validation_accuracy"],
        "last_loss": epochs[-1]["loss"],
        "layers": [],
        "provenance": {},
    }


def _board_metrics(lines: list[dict[str, Any]]) -> dict[str, Any]:
    own = {"test", "board", "program_sha256"}
    programs = [str(hashes) for line in lines if (hashes := line.get("program_sha256"))]
    return {
        "kind": "board metrics",
        "lines": len(lines),
        "tests": list(dict.fromkeys(line["test"] for line in lines)),
        "figures": list(dict.fromkeys(name for line in lines for name in line if name not in own)),
        "layers": [],
        "provenance": {
            "boards": list(dict.fromkeys(line["board"] for line in lines)),
            "programs": list(dict.fromkeys(programs)),
        },
    }


def _torch(path: Path) -> dict[str, Any]:
    """Return what a file of torch holds: a training's checkpoint, weights alone, or a network."""
    import torch

    from speckflex.networks.torch_file import read_torch_file

    state = read_torch_file(path, values=False).value
    if _holds(state, CHECKPOINT):
        return _checkpoint(path, state)
    weights = state.get("state_dict", state) if isinstance(state, dict) else {}
    if isinstance(weights, dict) and weights and _are_tensors(weights, torch.Tensor):
        return {"kind": "weights", "layers": _tensors(weights), "provenance": {}}
    return _network(path)


def _are_tensors(weights: Mapping[Any, Any], tensor: type) -> bool:
    return all(isinstance(k, str) and isinstance(v, tensor) for k, v in weights.items())


def _checkpoint(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    import torch

    history, network, best_epoch = state["history"], state["network"], state.get("best_epoch")
    if not all(_holds(epoch, {"epoch": int}) for epoch in history) or not _are_tensors(
        network, torch.Tensor
    ):
        raise FileFormatError(
            f"{path}: is no whole checkpoint of a training: give one that speckflex train wrote"
        )
    best_epoch = best_epoch if isinstance(best_epoch, int) else None
    best = next((one for one in history if one["epoch"] == best_epoch), {})
    return {
        "kind": "checkpoint",
        "sha256": _plain(state["data"]),
        "epochs": len(history),
        "best_epoch": best_epoch,
        "best_validation_accuracy": _plain(best.get("validation_accuracy")),
        "layers": _tensors(network),
        "provenance": {
            "format": _plain(state["format"]),
            **{
                str(name): _plain(value)
                for name, value in state["settings"].items()
                if value not in (None, "")
            },
        },
    }


def _plain(value: Any) -> Any:
    """Return a value of a checkpoint as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) if isinstance(item, SCALARS) else "?" for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, SCALARS) else type(value).__name__


def _tensors(weights: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "weights": list(value.shape),
            "type": str(value.dtype).removeprefix("torch."),
        }
        for name, value in weights.items()
    ]


def _program(path: Path) -> dict[str, Any]:
    from speckflex.program.program import Program

    program = Program.load(path)
    return {
        "kind": "program",
        "sha256": program.sha256,
        "chip": program.chip,
        "input_shape": list(program.input.shape),
        "layers": [_core(core) for core in program.cores],
        "provenance": {key: str(value) for key, value in program.metadata.items()},
    }


def _core(core: Core) -> dict[str, Any]:
    return {
        "name": core.name,
        "core": core.chip_core,
        "weights": list(core.weights.shape),
        "output_shape": list(core.output_shape),
        "threshold_low": core.threshold_low,
        "threshold_high": core.threshold_high,
        "initial_state": _start(core),
        "readout": core.readout,
        "sends_to": [destination.core for destination in core.destinations],
    }


def _start(core: Core) -> str:
    """Return the potentials that a core's neurons start at, or their range."""
    if core.initial_state is None:
        return "0"
    low, high = int(core.initial_state.min()), int(core.initial_state.max())
    return str(low) if low == high else f"{low} to {high}"


def _recording(path: Path) -> dict[str, Any]:
    from speckflex.recordings.recording import Recording

    recording = Recording.load(path)
    origin = recording.provenance
    return {
        "kind": "recording",
        "sha256": origin.program_sha256,
        "samples": recording.n_samples,
        "labelled": 0 if recording.labels is None else int((recording.labels >= 0).sum()),
        "lost_events": recording.lost_events,
        "stopped": dict(Counter(log.stopped for log in recording.samples)),
        "layers": [
            {
                "name": record.name,
                "output_shape": list(record.shape),
                "spikes": int(record.counts.sum()),
                "samples_with_events": len(record.events or ()),
                "readout": "spikes" if record.potentials is None else "potential",
            }
            for record in recording.layers
        ],
        "provenance": {
            "board": origin.board,
            "kind": origin.kind,
            "serial": origin.serial,
            "started": origin.started,
            "seed": origin.seed,
            **{f"version of {name}": version for name, version in origin.versions.items()},
            **dict(origin.settings),
        },
    }


def _probe(path: Path) -> dict[str, Any]:
    from speckflex.boards.probe_file import ProbeFile

    found = ProbeFile.load(path)
    about = {"speckflex": found.speckflex, "started": found.started, "seconds": found.seconds}
    return {
        "kind": "probe",
        "label": found.label,
        "answers": found.answers,
        "layers": [],
        "provenance": {**about, "board": dict(found.board)},
    }


def _report(path: Path) -> dict[str, Any]:
    from speckflex.report import read_report

    report = read_report(path)
    return {
        "kind": "report",
        "sha256": report.program.sha256,
        "samples": report.samples,
        "passed": report.passed,
        "missed": list(report.missed),
        "verdict": report.verdict,
        "layers": [
            {
                "name": layer.name,
                "core": layer.core,
                "spikes": layer.spikes,
                "spike_difference": layer.spike_difference,
            }
            for layer in report.layers
        ],
        "provenance": {
            "schema": report.schema,
            "speckflex": report.speckflex,
            "board": report.board,
            "command": report.command,
            **({"run": report.run_id} if report.run_id else {}),
        },
    }


def _network(path: Path) -> dict[str, Any]:
    from speckflex.networks.files import load_network, load_time_stepped
    from speckflex.networks.time_stepped import TORCH_ONLY

    leaky = load_time_stepped(path)
    network = load_network(path) if leaky is None else leaky
    kind = "network" if leaky is None else f"network, {TORCH_ONLY}"
    layers = []
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        threshold = getattr(module, "spike_threshold", None)
        if weight is None and threshold is None:
            continue
        layer: dict[str, Any] = {"name": name, "type": type(module).__name__}
        if weight is not None:
            layer["weights"] = list(weight.shape)
        if threshold is not None:
            low = getattr(module, "min_v_mem", None)
            layer["threshold_high"] = float(threshold.max())
            layer["threshold_low"] = None if low is None else float(low.min())
        precharge = getattr(module, "precharge", None)
        if precharge is not None:
            layer["precharge"] = float(precharge.mean())
        layers.append(layer)
    return {"kind": kind, "type": type(network).__name__, "layers": layers, "provenance": {}}
