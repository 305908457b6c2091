"""The Program: the integers that chip and twin both run."""

from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

__all__ = ["Core", "Destination", "EventFilter", "InputStage", "Program"]
