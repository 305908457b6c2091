"""What a file is: its hash, and what it says about itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.json_lines import read_json_lines
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from speckflex.program.records import Core

__all__ = ["describe_file"]

# A file of `speckflex probe` names its format in its first line.
PROBE, START = b'"speckflex probe"', 64


def describe_file(path: str | Path) -> dict[str, Any]:
    """Return kind, hash, layers and provenance of a file in plain JSON types.

    Args:
        path: a program (.speck), a recording (.h5), a report (report.json), a network or its
            weights (.pt, .nir, .onnx, .safetensors), a training's checkpoint or metrics, metrics
            of the pytest plugin (.jsonl), what was probed on a board (.json), or the folder of a
            run.

    Raises:
        SpeckflexError: the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        return _run(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path}: can't be read ({error.strerror}): check its path and permissions"
        ) from error
    about = _reader_of(path, content)(path)
    file_hash = hashlib.sha256(content).hexdigest()
    return {"file": str(path), "bytes": len(content), "file_sha256": file_hash, **about}


def _reader_of(path: Path, content: bytes) -> Callable[[Path], dict[str, Any]]:
    """Return the function that describes a file, by its content, else by its name."""
    from speckflex.networks.file_kinds import PROGRAM, RECORDING, TORCH, kind_of_file

    if path.suffix.lower() == ".json" and PROBE in content[:START]:
        return _probe
    kinds = {".speck": _program, ".h5": _recording, ".json": _report}
    if path.suffix.lower() in kinds:
        return kinds[path.suffix.lower()]
    if content[:1] == b"{" and not content.startswith(b"{}"):
        return _metrics
    by_content = {PROGRAM: _program, RECORDING: _recording, TORCH: _torch}
    return by_content.get(kind_of_file(path), _network)


def _run(folder: Path) -> dict[str, Any]:
    """Return what the folder of a run holds: its report, and each file with its hash."""
    report = folder / "report.json"
    if not report.is_file():
        raise FileFormatError(
            f"{folder}: holds no report.json, so it is no run of speckflex deploy: name a file, or"
            " the folder that deploy --out wrote"
        )
    about = _report(report)
    return {
        "file": str(folder),
        **about,
        "kind": "run",
        "files": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.iterdir())
            if path.is_file()
        },
    }


def _metrics(path: Path) -> dict[str, Any]:
    """Return what a file of JSON lines holds: the epochs of a training, or figures of tests."""
    lines = read_json_lines(path)
    if all(_is_epoch(line) for line in lines):
        return _epochs(lines)
    if all(isinstance(line.get(name), str) for line in lines for name in ("test", "board")):
        return _board_metrics(lines)
    raise FileFormatError(
        f"{path}: is no file of metrics that speckflex writes: give one of --metrics or"
        " --board-metrics"
    )


def _is_epoch(line: dict[str, Any]) -> bool:
    number, accuracy = line.get("epoch"), line.get("validation_accuracy")
    return isinstance(number, int) and isinstance(accuracy, int | float) and "loss" in line


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

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - a network as an object: its reader allows known layers
        return _network(path)
    if isinstance(state, dict) and {"format", "settings", "optimiser", "history"} <= state.keys():
        return _checkpoint(state)
    weights = state.get("state_dict", state) if isinstance(state, dict) else {}
    if weights and all(isinstance(value, torch.Tensor) for value in weights.values()):
        return {"kind": "weights", "layers": _tensors(weights), "provenance": {}}
    return _network(path)


def _checkpoint(state: dict[str, Any]) -> dict[str, Any]:
    history = state["history"]
    best = next((one for one in history if one["epoch"] == state["best_epoch"]), {})
    return {
        "kind": "checkpoint",
        "sha256": state["data"],
        "epochs": len(history),
        "best_epoch": state["best_epoch"],
        "best_validation_accuracy": best.get("validation_accuracy"),
        "layers": _tensors(state["network"]),
        "provenance": {
            "format": state["format"],
            **{name: value for name, value in state["settings"].items() if value not in (None, "")},
        },
    }


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
        },
    }


def _network(path: Path) -> dict[str, Any]:
    from speckflex.networks.files import load_network

    network = load_network(path)
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
    return {"kind": "network", "type": type(network).__name__, "layers": layers, "provenance": {}}
