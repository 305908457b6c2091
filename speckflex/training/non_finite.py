"""Where a network first computes something that is no number."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["first_non_finite_layer"]


@torch.no_grad()
def first_non_finite_layer(network: nn.Module, frames: torch.Tensor, *rest: Any) -> str | None:
    """Return the first layer with NaN or infinity in its output, or None.

    Args:
        network: run once on the frames and what else its forward takes.
        frames: (recording, time, channel, y, x), spike counts.
        rest: further arguments of the forward pass.
    """
    with _non_finite_names(network) as names:
        network(frames, *rest)
    return names[0] if names else None


@contextmanager
def _non_finite_names(network: nn.Module) -> Iterator[list[str]]:
    names: list[str] = []

    def watch(name: str) -> Any:
        def check(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            if not torch.isfinite(output).all():
                names.append(name)

        return check

    leaves = [(n, m) for n, m in network.named_modules() if not any(m.children())]
    hooks = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        yield names
    finally:
        for hook in hooks:
            hook.remove()
