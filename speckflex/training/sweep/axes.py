"""The axes of a search: which settings vary, and between which values."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from speckflex.errors import TrainingError
from speckflex.training.settings import TrainingSettings

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["LOWER_BOUND", "Axis"]

LOWER_BOUND = "lower_bound"  # of the neurons, not of the training
# They decide which recordings choose, so that trials could not be compared.
FIXED = ("seed", "validation_share", "batch_norm_mode")
# Other names of settings, as the command line has them.
ALSO = {"lr": "learning_rate", "t": "t_max", "first_stage": "sampler", "score": "output"}
KINDS = {field.name: str(field.type).split(" | ")[0] for field in fields(TrainingSettings)}


@dataclass(frozen=True)
class Axis:
    """One setting that varies.

    Args:
        name: a field of `TrainingSettings`, or "lower_bound".
        choices: the values there are; empty for a range.
        low: the least value of a range.
        high: its largest.
        log: whether a range is even in the logarithm.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Return the axis that a text says, such as "t-max=5..20" or "granularity=1,2,4".

        Raises:
            TrainingError: there is no such setting, or a value is none of it.
        """
        key, mark, values = (part.strip() for part in text.partition("="))
        name = ALSO.get(key.replace("-", "_"), key.replace("-", "_"))
        kinds = {n: kind for n, kind in KINDS.items() if n not in FIXED} | {LOWER_BOUND: "float"}
        if name not in kinds:
            near = difflib.get_close_matches(name, [*kinds, *ALSO], 1)
            hint = (
                f"did you mean {near[0].replace('_', '-')}?" if near else "see speckflex sweep -h"
            )
            raise TrainingError(f"search {text!r}: {key} is no setting that can vary: {hint}")
        if not mark or not values:
            raise TrainingError(
                f"search {text!r}: names no values: write a list such as {key}=1,2,4, or a range"
                f" such as {key}=1..10 or {key}=1e-4..1e-2:log"
            )
        if ".." in values:
            return cls._range(text, name, kinds[name], values)
        choices = tuple(_value(text, kinds[name], one.strip()) for one in values.split(","))
        return cls(name, tuple(dict.fromkeys(choices)))

    @classmethod
    def _range(cls, text: str, name: str, kind: str, values: str) -> Axis:
        ends, _, scale = values.partition(":")
        low, high = (_value(text, kind, one.strip()) for one in ends.split("..", 1))
        if scale not in {"", "log"} or kind not in {"int", "float"}:
            problem = "a range is of numbers, and may end in :log"
        elif not low < high:
            problem = "a range begins with its least value"
        elif scale and low <= 0:
            problem = "a range with :log begins above 0"
        else:
            return cls(name, (), low, high, log=bool(scale))
        raise TrainingError(f"search {text!r}: {problem}, such as {name.replace('_', '-')}=1..10")

    def draw(self, trial: Trial) -> Any:
        """Return the value that Optuna draws for a trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if isinstance(self.low, int):
            return trial.suggest_int(self.name, self.low, int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def _value(text: str, kind: str, word: str) -> Any:
    """Return a word as a value of a kind.

    Raises:
        TrainingError: it is none.
    """
    try:
        if kind == "bool":
            return {"true": True, "false": False}[word.lower()]
        value = int(word) if kind == "int" else float(word) if kind == "float" else word
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError  # noqa: TRY301
    except (ValueError, KeyError):
        names = {"int": "a whole number", "float": "a number", "bool": "true or false"}
        raise TrainingError(
            f"search {text!r}: {word!r} is not {names[kind]}: correct the value"
        ) from None
    return value
