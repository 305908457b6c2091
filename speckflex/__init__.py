"""Spiking networks from PyTorch to SynSense's Speck, with a twin and an honest difference."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from speckflex.version import __version__

if TYPE_CHECKING:
    from speckflex.analysis.early_exit import Exit, Margin, Posterior, early_exit
    from speckflex.boards import Board, open_board
    from speckflex.conversion.convert import convert
    from speckflex.conversion.model import read_model
    from speckflex.conversion.options import ConversionOptions
    from speckflex.deployment.deploy import Deployment, DeploySettings, deploy
    from speckflex.deployment.progress import Progress
    from speckflex.deployment.timesteps import evaluate
    from speckflex.errors import SpeckflexError
    from speckflex.networks.files import load_network
    from speckflex.networks.fold import fold_batchnorm
    from speckflex.networks.fold_model import fold
    from speckflex.networks.nir.options import NirOptions
    from speckflex.program.event_filter import EventFilter
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Destination, InputStage
    from speckflex.recordings.compare import Difference, compare
    from speckflex.recordings.recording import Recording
    from speckflex.training.finetune import finetune
    from speckflex.training.mixed.timesteps import group_boundaries
    from speckflex.twin.settings import TwinSettings

# A program that uses the package decides what is shown of its messages.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Names are loaded at first use: `import speckflex` pulls in neither torch nor numba nor samna.
_PUBLIC = {
    "Board": "boards",
    "ConversionOptions": "conversion.options",
    "Core": "program.records",
    "DeploySettings": "deployment.deploy",
    "Deployment": "deployment.deploy",
    "Destination": "program.records",
    "Difference": "recordings.compare",
    "EventFilter": "program.event_filter",
    "Exit": "analysis.early_exit",
    "InputStage": "program.records",
    "Margin": "analysis.early_exit",
    "NirOptions": "networks.nir.options",
    "Posterior": "analysis.early_exit",
    "Program": "program.program",
    "Progress": "deployment.progress",
    "Recording": "recordings.recording",
    "SpeckflexError": "errors",
    "TwinSettings": "twin.settings",
    "compare": "recordings.compare",
    "convert": "conversion.convert",
    "deploy": "deployment.deploy",
    "early_exit": "analysis.early_exit",
    "evaluate": "deployment.timesteps",
    "finetune": "training.finetune",
    "fold": "networks.fold_model",
    "fold_batchnorm": "networks.fold",
    "group_boundaries": "training.mixed.timesteps",
    "load_network": "networks.files",
    "open_board": "boards",
    "read_model": "conversion.model",
}

__all__ = [
    "Board",
    "ConversionOptions",
    "Core",
    "DeploySettings",
    "Deployment",
    "Destination",
    "Difference",
    "EventFilter",
    "Exit",
    "InputStage",
    "Margin",
    "NirOptions",
    "Posterior",
    "Program",
    "Progress",
    "Recording",
    "SpeckflexError",
    "TwinSettings",
    "__version__",
    "compare",
    "convert",
    "deploy",
    "early_exit",
    "evaluate",
    "finetune",
    "fold",
    "fold_batchnorm",
    "group_boundaries",
    "load_network",
    "open_board",
    "read_model",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'speckflex' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"speckflex.{_PUBLIC[name]}"), name)
    except ModuleNotFoundError as error:
        from speckflex._support.extras import explain_missing

        raise explain_missing(error, f"speckflex.{name}") or error from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
