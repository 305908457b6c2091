"""What a file is: its hash, and what it says about itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from speckflex.program.records import Core

__all__ = ["describe_file"]


def describe_file(path: str | Path) -> dict[str, Any]:
    """Return kind, hash, layers and provenance of a file in plain JSON types.

    Args:
        path: a program (.speck), a recording (.h5), a report (report.json), or a network (.pt,
            .nir).

    Raises:
        SpeckflexError: the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path}: can't be read ({error.strerror}): check its path and permissions"
        ) from error
    kinds = {".speck": _program, ".h5": _recording, ".json": _report}
    about = kinds.get(path.suffix.lower(), _network)(path)
    file_hash = hashlib.sha256(content).hexdigest()
    return {"file": str(path), "bytes": len(content), "file_sha256": file_hash, **about}


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
        "readout": core.readout,
        "sends_to": [destination.core for destination in core.destinations],
    }


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
        layers.append(layer)
    return {"kind": "network", "type": type(network).__name__, "layers": layers, "provenance": {}}
