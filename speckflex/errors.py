"""The errors of speckflex: one root, few kinds, each a sentence with its remedy."""

__all__ = [
    "BoardError",
    "BoardNotFoundError",
    "ComparisonError",
    "ConversionError",
    "EventsError",
    "FileFormatError",
    "MissingExtraError",
    "NetworkError",
    "PlacementError",
    "SpeckflexError",
    "TrainingError",
    "TrainingInterruptedError",
    "printable",
]


# Characters of a message: a name in a file may have millions. The beginning says where, the end
# what to do.
LONGEST_MESSAGE = 600
LONGEST_LIST = 6000
END_OF_MESSAGE = 240


def printable(text: str) -> str:
    """Return a text in one line, with escapes in place of characters that steer a display.

    Names come from files and may hold any character: one that clears a terminal, or one that
    turns the direction of writing. Every name passes through this function before it is shown.
    """
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)


class SpeckflexError(Exception):
    """Root of every error that speckflex raises on purpose.

    The message names the object, the value, the rule and the remedy in one line, in printable
    characters; a very long one lacks its middle.
    """

    longest = LONGEST_MESSAGE

    def __str__(self) -> str:
        message = printable(super().__str__())
        if len(message) <= self.longest:
            return message
        start = message[: self.longest - END_OF_MESSAGE - len(" ... ")]
        return f"{start} ... {message[-END_OF_MESSAGE:]}"


class MissingExtraError(SpeckflexError, ImportError):
    """A package that only a part of the work needs is not installed."""


class NetworkError(SpeckflexError):
    """A model file, a network or its folding is not usable."""


class ConversionError(SpeckflexError):
    """A network can't be expressed in the chip's integers.

    Attributes:
        problems: one sentence for each thing that is wrong; the message joins them.
    """

    longest = LONGEST_LIST

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
