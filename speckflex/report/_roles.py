"""Who is compared with whom: the recordings of a report by role."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from speckflex.boards.family import board_called
from speckflex.recordings.compare import Difference, difference_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from speckflex.recordings.compare import ComparedPart
    from speckflex.recordings.tally import Tally

__all__ = [
    "BETWEEN",
    "NAMES",
    "PLAYED_ORDER",
    "STEPS",
    "Comparison",
    "compare_roles",
    "compared_roles",
    "ladder_pairs",
    "ladder_roles",
    "pairs_of",
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


def role_names(recordings: Mapping[str, Tally]) -> dict[str, str]:
    """Return how sentences call each role; a virtual devkit or a replay is not called a chip."""
    return {
        role: board_called(recording.provenance.board, recording.provenance.kind)
        if role == "chip"
        else NAMES.get(role, role)
        for role, recording in recordings.items()
    }


def played_role(roles: Iterable[str]) -> str:
    """Return the role that stands for the board: the chip, else the twin, else the last one."""
    found = list(roles)
    return next((role for role in PLAYED_ORDER if role in found), found[-1])


def compared_roles(roles: Iterable[str]) -> list[str]:
    """Return the roles that are compared with each other; a single one in any role."""
    found = list(roles)
    return [role for role in found if role not in ("repeat", *BETWEEN)] or found


def pairs_of(roles: Iterable[str]) -> list[tuple[str, str]]:
    """Return every pair of roles as reference and other, the main comparison first.

    The main comparison is that of torch with the chip; without a chip, of torch with the twin.
    The reference is the chip, else the twin, else the first recording.
    """
    found = list(roles)
    ranked = [role for role in REFERENCE_ORDER if role in found]
    ordered = ranked + [role for role in found if role not in ranked]
    pairs = [(a, b) for index, a in enumerate(ordered) for b in ordered[index + 1 :]]
    return sorted(pairs, key=lambda pair: pair != (ordered[0], "torch"))


def ladder_roles(roles: Iterable[str], torch_step: str = "trained") -> dict[str, str]:
    """Return the role of each step of the ladder that there is, in the order of the steps.

    Args:
        roles: of all recordings.
        torch_step: the step that the recording of torch is; one alone may be a later one.
    """
    there = set(roles)
    found = {role: role for role in (*BETWEEN, *PLAYED_ORDER) if role in there}
    if "torch" in there:
        found.setdefault(torch_step, "torch")
    return {step: found[step] for step in STEPS if step in found}


def ladder_pairs(steps: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return for each step but the first the roles of S and S': the hardware, else the earlier.

    Args:
        steps: the role of each step, in their order.
    """
    return {
        step: (steps[step], steps[before]) if step in PLAYED_ORDER else (steps[before], steps[step])
        for before, step in pairwise(steps)
    }


def compare_roles(
    tallies: Mapping[str, Tally],
    compared: Mapping[tuple[str, str], ComparedPart],
    *,
    noise_floor: Difference | None = None,
) -> list[Comparison]:
    """Return the comparison of every pair, the main comparison first.

    Args:
        tallies: by the roles that are compared with each other.
        compared: how far the layers of each pair of `pairs_of` differ.
        noise_floor: the difference between two runs of the board.
    """
    names = role_names(tallies)
    return [
        Comparison(
            a,
            b,
            difference_of(compared[a, b], tallies[a], tallies[b], noise_floor=noise_floor),
            (names[a], names[b]),
        )
        for a, b in pairs_of(tallies)
    ]
