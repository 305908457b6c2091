"""The names of the rules by which frames become more or fewer."""

from typing import Literal, get_args

__all__ = ["DOWNSAMPLINGS", "UPSAMPLINGS", "Downsampling", "Upsampling"]

Upsampling = Literal["copy", "spread", "rate"]
Downsampling = Literal["sum", "trim", "rate"]

UPSAMPLINGS: tuple[Upsampling, ...] = get_args(Upsampling)
DOWNSAMPLINGS: tuple[Downsampling, ...] = get_args(Downsampling)
