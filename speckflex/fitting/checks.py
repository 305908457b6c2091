"""Checks: what conversion and the chip's limits say about a layer, in figures and a sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from speckflex._support.text import printable

if TYPE_CHECKING:
    from speckflex.errors import ConversionError

__all__ = ["Check", "CheckList", "Severity"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Check:
    """The result of one check of one layer.

    Args:
        layer: the layer's name in the torch network, "" for the network as a whole.
        severity: "error" stops the chip, "warning" may change spikes, "note" is a figure.
        rule: a short, stable name, such as "kernel size".
        message: what was found, in a sentence without the layer's name.
        value: the figure that was found, where there is one.
        limit: the figure that it is compared with, where there is one.
        remedy: what to do.
    """

    layer: str
    severity: Severity
    rule: str
    message: str
    value: float | str | None = None
    limit: float | str | None = None
    remedy: str = ""

    def __post_init__(self) -> None:
        for name in ("layer", "message", "remedy"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def sentence(self) -> str:
        """Layer, message and remedy in one line."""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.layer or 'the network'}: {self.message}{remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


class CheckList:
    """Collects checks.

    Attributes:
        checks: what was collected, in that order.
    """

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def refuse(self, layer: str, rule: str, message: str, remedy: str = "") -> None:
        """Add an error of a layer, unless it is there already."""
        check = Check(layer, "error", rule, message, remedy=remedy)
        # several ways through the network may meet the same step
        if check not in self.checks:
            self.checks.append(check)

    def refuse_error(self, layer: str, rule: str, error: ConversionError) -> None:
        """Add an exception as an error of a layer."""
        message, _, remedy = str(error).rpartition(": ")
        self.refuse(layer, rule, message or remedy, remedy if message else "")

    @property
    def has_error(self) -> bool:
        """Whether something can't be converted."""
        return any(check.severity == "error" for check in self.checks)
