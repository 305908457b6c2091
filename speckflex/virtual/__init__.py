"""A stand-in for samna, just enough that sinabs' backend imports without the vendor's binary."""

from __future__ import annotations

import sys
from types import ModuleType

__all__ = ["install"]


def install() -> None:
    """Put the stand-in under the names `samna` and `samnagui`."""
    for name in (
        "samna",
        "samna.device",
        "samna.speck2e",
        "samna.speck2e.configuration",
        "samna.speck2f",
        "samna.speck2f.configuration",
        "samna.specksim",
        "samna.specksim.nodes",
        "samnagui",
    ):
        sys.modules[name] = ModuleType(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    sys.modules["samna.device"].DeviceInfo = type("DeviceInfo", (), {})
    for chip in ("speck2e", "speck2f"):
        configuration = sys.modules[f"samna.{chip}.configuration"]
        configuration.SpeckConfiguration = type("SpeckConfiguration", (), {})
    nodes = sys.modules["samna.specksim.nodes"]
    for kind in ("Convolutional", "IAF", "SumPooling"):
        name = f"Specksim{kind}FilterNode"
        setattr(nodes, name, type(name, (), {}))
