"""The layer in which a network first computes NaN or infinity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

__all__ = ["first_non_finite_layer"]


@torch.no_grad()
def first_non_finite_layer(network: nn.Module, frames: torch.Tensor) -> str | None:
    """Return the first layer with NaN or infinity in its output, or None.

    Args:
        network: run once on the frames.
        frames: (recording, time, channel, y, x), spike counts.
    """
    names: list[str] = []

    def watch(name: str) -> Any:
        def check(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            if not torch.isfinite(output).all():
                names.append(name)

        return check

    leaves = [(n, m) for n, m in network.named_modules() if not any(m.children())]
    hooks = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        network(frames)
    finally:
        for hook in hooks:
            hook.remove()
    return names[0] if names else None
