"""The outputs of a deployment's samples over time, taken in before their spikes are dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from speckflex.analysis.readings import output_problem, outputs_in_steps, read_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.analysis.readings import Reading
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["BOARDS", "OutputReadings", "add_readings"]

BOARDS = ("twin", "chip")


@dataclass
class OutputReadings:
    """What a reader of each board, and of torch, sees of the samples so far.

    Args:
        by_role: one reading for each sample, by the role of a board.
        steps: (sample, time, class) output of torch in each time step, by part.
        problem: why an output can not be read over time, "" where it can.
    """

    by_role: dict[str, list[Reading]] = field(default_factory=dict)
    steps: list[np.ndarray] = field(default_factory=list)
    problem: str = ""

    def add(
        self, events: list[np.ndarray], part: Mapping[str, Recording], program: Program
    ) -> None:
        """Take in a part that all have played, with its spikes."""
        for role in (role for role in BOARDS if role in part):
            self.problem = self.problem or output_problem(part[role])
            if self.problem:
                continue
            found = read_outputs(part[role], events, program)
            self.by_role.setdefault(role, []).extend(found)
            if len(found) < len(events):
                self.problem = "the output spikes of only some samples were kept"
        torch = part.get("torch")
        if torch is not None and not output_problem(torch):
            n_steps = int(torch.provenance.settings["bins"])
            self.steps.append(outputs_in_steps(torch, events, n_steps))


def add_readings(parts: Sequence[OutputReadings]) -> OutputReadings:
    """Return what was taken in of parts of the samples, in order, as of all of them."""
    joined = OutputReadings(problem=next((part.problem for part in parts if part.problem), ""))
    for part in parts:
        for role, readings in part.by_role.items():
            joined.by_role.setdefault(role, []).extend(readings)
        joined.steps.extend(part.steps)
    return joined
