"""Training of spiking networks for the chip: SDT, NMT, MTT and the board in the loop."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from speckflex._support.delayed import delay_import

if TYPE_CHECKING:
    from speckflex.training._devices import open_fabric
    from speckflex.training._evaluation import Evaluation, evaluate
    from speckflex.training._loop import TrainingFiles, TrainingResult, fit
    from speckflex.training.data import (
        FrameSet,
        TrainingData,
        cache_frames,
        split_frames,
        stream_frames,
    )
    from speckflex.training.metrics import EpochMetrics
    from speckflex.training.pipeline import finetune_network, merge_network, train_network
    from speckflex.training.settings import TrainingSettings

# sinabs imports it for one plot, and with it all of matplotlib.
delay_import("pylab")

# Loaded at first use: the command line reads the settings' choices without torch.
_PUBLIC = {
    "EpochMetrics": "metrics",
    "Evaluation": "_evaluation",
    "FrameSet": "data",
    "TrainingData": "data",
    "TrainingFiles": "_loop",
    "TrainingResult": "_loop",
    "TrainingSettings": "settings",
    "cache_frames": "data",
    "evaluate": "_evaluation",
    "finetune_network": "pipeline",
    "fit": "_loop",
    "merge_network": "pipeline",
    "open_fabric": "_devices",
    "split_frames": "data",
    "stream_frames": "data",
    "train_network": "pipeline",
}

__all__ = [
    "EpochMetrics",
    "Evaluation",
    "FrameSet",
    "TrainingData",
    "TrainingFiles",
    "TrainingResult",
    "TrainingSettings",
    "cache_frames",
    "evaluate",
    "finetune_network",
    "fit",
    "merge_network",
    "open_fabric",
    "split_frames",
    "stream_frames",
    "train_network",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value
