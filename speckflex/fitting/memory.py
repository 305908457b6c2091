"""What a layer takes of a core's memories, and which cores hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.chips.chip import kernel_words, neuron_words

if TYPE_CHECKING:
    from speckflex.chips.chip import Chip, CoreLimits
    from speckflex.program.records import Core, Pair

__all__ = ["LayerMemory", "layer_memory"]

KINDS = ("kernel", "neuron", "bias")


@dataclass(frozen=True)
class LayerMemory:
    """Words that one layer needs in each memory of a core."""

    kernel_words: int
    neuron_words: int
    bias_words: int

    @staticmethod
    def of(channels: int, out: int, kernel: Pair, size: Pair, *, biased: bool) -> LayerMemory:
        """Return the memory of a layer from its sizes; `kernel` and `size` are (y, x)."""
        return LayerMemory(
            kernel_words(channels, out, *kernel),
            neuron_words(out, *size),
            out if biased else 0,
        )

    @property
    def total_words(self) -> int:
        """All words together, as a measure of size."""
        return self.kernel_words + self.neuron_words + self.bias_words

    def fitting(self, chip: Chip) -> tuple[CoreLimits, ...]:
        """Return the cores of a chip that hold the layer."""
        return tuple(core for core in chip.cores if self.fits(core))

    def fits(self, core: CoreLimits) -> bool:
        """Return whether every memory of `core` is large enough."""
        return all(self.need(kind) <= getattr(core, f"{kind}_words") for kind in KINDS)

    def need(self, kind: str) -> int:
        """Return the words of one kind: "kernel", "neuron" or "bias"."""
        return getattr(self, f"{kind}_words")

    def shortage(self, core: CoreLimits) -> str:
        """Say which memories of `core` are too small, with need and have."""
        return ", ".join(
            f"{kind} words {self.need(kind)} of {getattr(core, f'{kind}_words')}"
            for kind in KINDS
            if self.need(kind) > getattr(core, f"{kind}_words")
        )


def layer_memory(core: Core) -> LayerMemory:
    """Return the words that a core of a program needs."""
    out, channels, kernel_y, kernel_x = core.weights.shape
    size = core.output_shape[1:]
    return LayerMemory.of(channels, out, (kernel_y, kernel_x), size, biased=core.bias is not None)
