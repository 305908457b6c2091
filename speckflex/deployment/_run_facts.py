"""How a deployment ran, for its report."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from speckflex._support.commit import commit_of_folder
from speckflex._support.text import command_words, printable

if TYPE_CHECKING:
    from speckflex.boards.choosing import ChosenBoard
    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.report.facts import RunFacts

__all__ = ["run_facts"]

NAMED = ("nmnist", "dvsgesture", "synthetic-digits", "synthetic-gestures")
TRAINING_FOLDERS = ("train", "ibmgesturestrain", "ibmgesturetrain")


def run_facts(
    model: ConvertedModel,
    dataset: EventDataset,
    chosen: ChosenBoard,
    *,
    bins: int,
    command: str,
    warnings: tuple[str, ...] = (),
) -> RunFacts:
    """Return how a deployment ran.

    Args:
        model: the program, and its network if there is one.
        dataset: the recordings.
        chosen: the board.
        bins: number of time steps of the torch reference.
        command: what the user typed, "" where it was called from Python.
        warnings: sentences about the recordings that were played.
    """
    # imported here, since the command prints the name of the board before it waits for imports
    from speckflex.report.facts import DataFacts, RunFacts

    return RunFacts(
        model=printable(model.path.name),
        data=DataFacts(
            dataset.name,
            tuple(dataset.classes),
            warnings,
            dataset.changes,
            _training_part(dataset, command),
        ),
        board_asked=chosen.asked,
        board_note=chosen.note,
        bins=bins if model.network is not None else None,
        folding=model.folding,
        model_path=printable(str(model.path)),
        model_sha256=model.file_sha256,
        working_directory_commit=commit_of_folder(Path.cwd()) or "",
    )


def _training_part(dataset: EventDataset, command: str) -> str:
    """Return what `--data` of a training takes; "" where no training part is known."""
    words = command_words(command)
    given = next((b for a, b in pairwise(words) if a == "--data"), "")
    given = given or next((w[7:] for w in words if w.startswith("--data=")), dataset.name)
    folder = Path(given)
    if given in NAMED:
        return given
    if not folder.is_dir():
        return ""
    inside = {one.name.lower() for one in folder.iterdir()}
    return given if inside.intersection(TRAINING_FOLDERS) else ""
