"""Commands that go on from a deployment, with the options that it was given."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex._support.text import command_words

if TYPE_CHECKING:
    from speckflex.report.facts import Facts, RunFacts

__all__ = ["NO_TRAINING_DATA", "Remedies", "remedies_of"]

NO_TRAINING_DATA = "TRAINING_DATA stands for recordings that were not played here."

# Options of `speckflex deploy` that other commands take too.
OF_MODEL = frozenset({"--network", "--key", "--dt", "--lower-bound"})
OF_SHAPE = frozenset({"--input-shape"})
OF_RECORDINGS = frozenset(
    {"--fields", "--time-unit", "--sensor", "--crop", "--resize", "--resize-keeps"}
    | {"--merge-polarities", "--window", "--stride"}
)
OF_PLAYING = frozenset(
    {"--data", "--split", "--samples", "--cache", "--download", "--seed", "--bins", "--unbounded"}
    | {"--slow-clock", "--probe", "--board"}
)
PLAYED = OF_MODEL | OF_SHAPE | OF_RECORDINGS | OF_PLAYING
WITHOUT_VALUE = frozenset({"--merge-polarities", "--download", "--unbounded"})


@dataclass(frozen=True)
class Remedies:
    """Commands for the model and the data of one deployment.

    Args:
        run: how it ran.
        command: what the user typed, "" where it was called from Python.
    """

    run: RunFacts
    command: str

    @property
    def model(self) -> str:
        """The model file."""
        return shlex.quote(self.run.model_path or self.run.model)

    def finetune(self, options: str) -> str:
        """Return the commands that train the network on, without batch norms and biases."""
        start = self._line("finetune", self.model, OF_MODEL)
        if self.run.folding is not None:
            fold = self._line("fold", self.model, OF_MODEL | OF_SHAPE)
            start = f"{fold} --out folded.pt && speckflex finetune folded.pt"
        data = shlex.quote(self.run.data.training or "TRAINING_DATA")
        return " ".join(
            [start, "--data", data, *self._given(OF_RECORDINGS), "--out tuned.pt", options]
        )

    def deploy(self, options: str) -> str:
        """Return the command that plays again, with more options."""
        return f"{self._line('deploy', self.model, PLAYED)} {options}"

    @property
    def check(self) -> str:
        """The command that lists what conversion did to each layer."""
        return self._line("check", self.model, OF_MODEL | OF_SHAPE)

    def _line(self, verb: str, model: str, options: frozenset[str]) -> str:
        return " ".join(["speckflex", verb, model, *self._given(options)])

    def _given(self, options: frozenset[str]) -> list[str]:
        """Return the words of those options that the user gave."""
        words = command_words(self.command)
        if words[1:2] != ["deploy"]:
            data = shlex.quote(self.run.data.training or "RECORDINGS")
            return ["--data", data] if "--data" in options else []
        found = []
        for place, word in enumerate(words):
            name, mark, _ = word.partition("=")
            if name in options:
                end = place + 1 if mark or name in WITHOUT_VALUE else place + 2
                found += [shlex.quote(one) for one in words[place:end]]
        return found


def remedies_of(facts: Facts) -> Remedies | None:
    """Return the commands that go on from a report; None where it is of no deployment."""
    return None if facts.run is None else Remedies(facts.run, facts.command)
