"""All cores of a program, one after the other, as kernels that run them together take them."""

from typing import Any, NamedTuple

__all__ = ["EVENTS_PER_CALL", "JoinedCores"]

# A call of a kernel returns after so many events, so that an interrupt is noticed.
EVENTS_PER_CALL = 2**20


class JoinedCores(NamedTuple):
    """What never changes of all cores.

    Args:
        cores: `(c + 1,) CORE`.
        edges: `(e,) EDGE`.
        routes: as in `CoreArrays`, of all cores.
        weights: see `CoreArrays`.
        layout: `(c,) LAYOUT`.
        rule: `(c,) RULE`.
    """

    cores: Any
    edges: Any
    routes: Any
    weights: Any
    layout: Any
    rule: Any
