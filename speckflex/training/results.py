"""What a result file states, so that two results can be compared recording by recording."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from speckflex._support.commit import commit_of_package
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from speckflex.training.settings import TrainingSettings

__all__ = ["origin_of", "result_of", "settings_sha256"]


def settings_sha256(settings: TrainingSettings) -> str:
    """Return the hash of all settings but the seed: rows of a table with one hash belong together.

    The hash is that of the settings as JSON with sorted names.
    """
    plain = asdict(settings)
    del plain["seed"]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def origin_of(settings: TrainingSettings) -> dict[str, Any]:
    """Return, as JSON types, the code and the settings of a training.

    The keys are `speckflex`, `torch` (versions), `commit` (None outside a checkout), `settings`
    (all, by name) and `settings_sha256`.
    """
    return {
        "speckflex": __version__,
        "torch": torch.__version__,
        "commit": commit_of_package(),
        "settings": asdict(settings),
        "settings_sha256": settings_sha256(settings),
    }


def result_of(
    settings: TrainingSettings, labels: np.ndarray, predictions: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return the content of a result file as JSON types: origin, labels, accuracies, predictions.

    With the predictions of two files, `speckflex.training.gain.paired_gain` tests whether one
    network is better than the other on the same recordings (McNemar).

    Args:
        settings: of the training.
        labels: (recording,) int64.
        predictions: (recording,) int64 by what made them, such as "twin" and "torch T=10"; -1
            for no answer.
    """
    return {
        **origin_of(settings),
        "labels": labels.tolist(),
        "accuracy": {name: float((p == labels).mean()) for name, p in predictions.items()},
        "predictions": {name: p.tolist() for name, p in predictions.items()},
    }
