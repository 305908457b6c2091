"""AutoAugment (Cubuk et al. 2019) of images, by torchvision, with this project's own draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex._support.text import first_line
from speckflex.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["N_DRAWS", "apply_policies"]

N_DRAWS = 5  # of an image: which policy, then for both of its changes a chance and a sign


def apply_policies(frames: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
    """Return images, each changed by one of the 25 policies that were found for CIFAR-10.

    Args:
        frames: (image, 1, 3, y, x) uint8.
        draws: (image, 5) floats, 0 to below 1: which policy; chances below which its first and
            second change are made; signs of their strengths, negative below 1/2.

    Raises:
        TrainingError: the frames are no images.
        MissingExtraError: torchvision does not load.
    """
    import torch

    if frames.shape[1:3] != (1, 3) or frames.dtype != torch.uint8:
        raise TrainingError(
            f"augmentation autoaugment: frames of shape {tuple(frames.shape[1:])} (time, channel,"
            " y, x) are no images of three colours: leave it out for recordings"
        )
    policies = _policies()
    changed = []
    for image, drawn in zip(frames, draws, strict=True):
        policies.drawn = drawn
        changed.append(policies(image))
    return torch.stack(changed) if changed else frames


def _policies() -> Any:
    """Return torchvision's module, whose next image is changed as its `drawn` says.

    It would draw from torch's global generator, and other threads do so meanwhile.
    """
    import torch

    try:
        from torchvision.transforms import (  # pyright: ignore[reportMissingImports]
            AutoAugment,
            AutoAugmentPolicy,
        )
    except (ImportError, RuntimeError, OSError) as error:  # built for another torch
        raise MissingExtraError(
            f"augmentation autoaugment: torchvision does not load beside torch {torch.__version__}"
            f" ({first_line(error)}): install the torchvision of its release and build"
        ) from error

    class Policies(AutoAugment):
        drawn: np.ndarray

        def get_params(self, transform_num: int) -> tuple[int, list[float], list[int]]:
            policy, *rest = self.drawn.tolist()
            return int(policy * transform_num), rest[:2], [int(sign >= 0.5) for sign in rest[2:]]

    return Policies(AutoAugmentPolicy.CIFAR10)
