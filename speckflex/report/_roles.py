"""Who is compared with whom: the recordings of a report by role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.boards.family import board_called
from speckflex.recordings.compare import Difference, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.recordings.recording import Recording

__all__ = [
    "BETWEEN",
    "NAMES",
    "PLAYED_ORDER",
    "STEPS",
    "Comparison",
    "compare_roles",
    "played_role",
    "role_names",
]

# The reference of a comparison is the hardware: the real chip where there is one, else its twin
# (MTT paper, Eq. 16).
REFERENCE_ORDER = ("chip", "twin", "torch")
PLAYED_ORDER = ("chip", "twin")
NAMES = {"torch": "the torch network", "twin": "the twin", "chip": "the chip"}
# Between the network as it was given and the board; they are in the ladder, and in no other pair.
BETWEEN = ("folded", "eight-bit")
# From the network as it was given to the hardware.
STEPS = ("trained", *BETWEEN, "twin", "chip")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two recordings and their difference.

    Args:
        reference: role of the recording that the other is compared with.
        other: role of the other recording.
        difference: how far they differ.
        names: how sentences call the two.
    """

    reference: str
    other: str
    difference: Difference
    names: tuple[str, str]


def role_names(recordings: Mapping[str, Recording]) -> dict[str, str]:
    """Return how sentences call each role; a virtual devkit or a replay is not called a chip."""
    return {
        role: board_called(recording.provenance.board, recording.provenance.kind)
        if role == "chip"
        else NAMES.get(role, role)
        for role, recording in recordings.items()
    }


def played_role(recordings: Mapping[str, Recording]) -> str:
    """Return the role that stands for the board: the chip, else the twin, else the last one."""
    return next((role for role in PLAYED_ORDER if role in recordings), list(recordings)[-1])


def compare_roles(
    recordings: Mapping[str, Recording],
    *,
    noise_floor: Difference | None = None,
    same_program: bool = True,
) -> list[Comparison]:
    """Return the comparison of every pair, the main comparison first.

    The main comparison is that of torch with the chip; without a chip, of torch with the twin.
    The reference is the chip, else the twin, else the first recording.
    """
    ranked = [role for role in REFERENCE_ORDER if role in recordings]
    ordered = ranked + [role for role in recordings if role not in ranked]
    pairs = [(a, b) for index, a in enumerate(ordered) for b in ordered[index + 1 :]]
    pairs.sort(key=lambda pair: pair != (ordered[0], "torch"))
    names = role_names(recordings)
    return [
        Comparison(
            a,
            b,
            compare(
                recordings[a], recordings[b], noise_floor=noise_floor, same_program=same_program
            ),
            (names[a], names[b]),
        )
        for a, b in pairs
    ]
