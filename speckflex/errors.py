"""The errors of speckflex: one root, few kinds, each a sentence with its remedy."""

__all__ = [
    "BoardError",
    "BoardNotFoundError",
    "ComparisonError",
    "ConversionError",
    "EventsError",
    "FileFormatError",
    "NetworkError",
    "PlacementError",
    "SpeckflexError",
    "TrainingError",
    "TrainingInterruptedError",
]


class SpeckflexError(Exception):
    """Root of every error that speckflex raises on purpose.

    The message names the object, the value, the rule and the remedy in one line.
    """


class NetworkError(SpeckflexError):
    """A model file, a network or its folding is not usable."""


class ConversionError(SpeckflexError):
    """A network can't be expressed in the chip's integers.

    Attributes:
        problems: one sentence for each thing that is wrong; the message joins them.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class PlacementError(SpeckflexError):
    """The layers of a program do not fit on the cores of the chip."""


class FileFormatError(SpeckflexError):
    """A file that speckflex writes itself is damaged, foreign or too new."""


class EventsError(SpeckflexError):
    """An event stream or a data set does not have the shape or range it must have."""


class BoardError(SpeckflexError):
    """A board refused a program, stopped answering, or was used before it was ready."""


class BoardNotFoundError(BoardError):
    """No board matches the name that was asked for."""


class ComparisonError(SpeckflexError):
    """Two recordings can't be compared with each other."""


class TrainingError(SpeckflexError):
    """Training can't start or had to stop."""


class TrainingInterruptedError(TrainingError):
    """Training was stopped from outside before there was a network to keep."""
