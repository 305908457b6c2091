"""The twin at a stated rate, its input lost where the first cores have no room."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from speckflex.boards import open_board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.boards import Board
    from speckflex.program.program import Program
    from speckflex.twin.settings import TwinSettings

__all__ = ["twin_at_rate"]


@contextmanager
def twin_at_rate(
    program: Program, rate: float, settings: TwinSettings, threads: int | None
) -> Iterator[Board]:
    """Yield a twin whose cores do `rate` synaptic operations per second, with the program loaded.

    A camera does not wait. So an event that finds no room at a core behind the input is lost, as
    if that core had a congestion balancer. Behind the input the program stays as it is.

    Args:
        program: the program.
        rate: synaptic operations per second of a core.
        settings: other settings of the twin.
        threads: of the twin; None for one per processor.
    """
    fed = {destination.core for destination in program.input.destinations}
    cores = tuple(
        replace(core, congestion_balancer=True) if index in fed else core
        for index, core in enumerate(program.cores)
    )
    with open_board("twin", threads=threads, settings=settings.at_rate(rate)) as twin:
        twin.load(replace(program, cores=cores))
        yield twin
