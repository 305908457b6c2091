"""What kinds of torch and sinabs layers there are, from the chip's point of view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
from torch import nn

if TYPE_CHECKING:
    from speckflex.conversion.trace import Node

__all__ = ["DROPOUTS", "NORMS", "PASSING", "POOLINGS", "is_identity_norm", "is_weight"]

PASSING = (nn.Identity, nn.Flatten, nn.Unflatten)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
POOLINGS = (
    nn.modules.pooling._AvgPoolNd,  # noqa: SLF001  the only common base of torch's poolings
    nn.modules.pooling._MaxPoolNd,  # noqa: SLF001
    nn.modules.pooling._AdaptiveAvgPoolNd,  # noqa: SLF001
    nn.modules.pooling._AdaptiveMaxPoolNd,  # noqa: SLF001
    nn.LPPool2d,
    sl.SpikingMaxPooling2dLayer,
)
NORMS = (nn.modules.batchnorm._BatchNorm,)  # noqa: SLF001
WEIGHTS = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear)  # noqa: SLF001


def is_weight(node: Node) -> bool:
    """Return whether a call is that of a layer with weights, which a core takes."""
    return isinstance(node.module, WEIGHTS)


def is_identity_norm(norm: Any) -> bool:
    """Return whether a batch norm in eval mode returns what it is given."""
    if norm.running_mean is None or norm.running_var is None:
        return False
    gain = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * gain
    if norm.affine:
        gain, shift = gain * norm.weight, shift * norm.weight + norm.bias
    return bool((gain == 1).all() and (shift == 0).all())
