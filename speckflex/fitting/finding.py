"""A finding about a layer: what conversion and checks report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Check", "Severity"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Check:
    """One finding about one layer.

    Args:
        layer: the layer's name in the torch network, "" for the network as a whole.
        severity: "error" stops the chip, "warning" may change spikes, "note" is a figure.
        rule: a short, stable name, such as "kernel size".
        message: what was found, in a sentence without the layer's name.
        value: the figure that was found, where there is one.
        limit: the figure it is held against, where there is one.
        remedy: what to do about it.
    """

    layer: str
    severity: Severity
    rule: str
    message: str
    value: float | str | None = None
    limit: float | str | None = None
    remedy: str = ""

    @property
    def sentence(self) -> str:
        """The finding in one line: layer, what, remedy."""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.layer or 'the network'}: {self.message}{remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)
