"""What happens to frames on their way into each stage: a rule for more frames, one for fewer."""

from __future__ import annotations

from typing import Any, NamedTuple

from speckflex.errors import TrainingError
from speckflex.training.rules import DOWNSAMPLINGS, UPSAMPLINGS, Downsampling, Upsampling

__all__ = ["Boundary", "default_boundaries", "parse_boundaries"]


class Boundary(NamedTuple):
    """The rules of one boundary, see `TemporalTransform`.

    Args:
        upsampling: where the stage behind it is longer: "copy", "spread" or "rate".
        downsampling: where the stage behind it is shorter: "sum", "trim" or "rate".
    """

    upsampling: Upsampling = "copy"
    downsampling: Downsampling = "sum"

    def __str__(self) -> str:
        return f"{self.upsampling}/{self.downsampling}"


def default_boundaries(
    n_stages: int, upsampling: Upsampling, input_frames: Downsampling
) -> tuple[Boundary, ...]:
    """Return the boundaries of one rule for more frames, and one for fewer frames of the input.

    Between stages fewer frames are sums, as the paper has it, and means where "rate" is the rule.
    """
    within = Boundary(upsampling, "rate" if upsampling == "rate" else "sum")
    return (Boundary(upsampling, input_frames), *[within] * (n_stages - 1))


def parse_boundaries(text: str) -> tuple[Boundary, ...]:
    """Return the boundaries in a text such as "copy/trim,copy/sum,rate"; none in "".

    The first one is that of the input. Each has a rule for more frames and one for fewer, or one
    of them; "rate" alone is both. What is left out is the paper's: "copy" and "sum".

    Raises:
        TrainingError: a rule is not known, or a boundary has two rules for one direction.
    """
    return tuple(_parse(part.strip()) for part in text.split(",")) if text else ()


def _parse(part: str) -> Boundary:
    if part == "rate":
        return Boundary("rate", "rate")
    rules = part.split("/")
    up: list[Any] = [rule for rule in UPSAMPLINGS if rule in rules[:1]]
    down: list[Any] = [
        rule for rule in DOWNSAMPLINGS if rule in rules[-1:] and (len(rules) == 2 or not up)
    ]
    if len(rules) > 2 or len(up) + len(down) != len(rules):
        more, fewer = ", ".join(UPSAMPLINGS), ", ".join(DOWNSAMPLINGS)
        raise TrainingError(
            f"boundary {part!r} is not known: write a rule for more frames ({more}) and one for"
            f" fewer ({fewer}) with / between them, such as copy/sum"
        )
    return Boundary(up[0] if up else "copy", down[0] if down else "sum")
