"""What experiments on a board have found: a file that a twin and a virtual devkit open with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from speckflex._support.files import suffix_problem, write_whole
from speckflex._support.reading import parse_json, read_file
from speckflex._support.text import shown
from speckflex.errors import BoardError, FileFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.twin.settings import TwinSettings
    from speckflex.virtual import Unverified

__all__ = ["Finding", "ProbeFile"]

FORMAT, VERSION = "speckflex probe", 1
# A whole file takes 100 KB; a hostile one must not fill the memory.
MAX_BYTES = 8 * 2**20
MAX_FINDINGS = 200

_Settings = TypeVar("_Settings", bound="TwinSettings | Unverified")


@dataclass(frozen=True)
class Finding:
    """What one experiment has found.

    Args:
        name: of the experiment; where it is the name of a setting of the twin or of a virtual
            devkit, `answer` is that setting's value as text.
        question: what the experiment asks.
        answer: the hypothesis whose expectation was observed; "" if none was, or if there is no
            hypothesis, so that `observed` is a measurement.
        hypotheses: all answers that were expected; () for a measurement.
        observed: what came out, of plain JSON types.
        problem: why the experiment has no result; "" if it has one.
    """

    name: str
    question: str
    answer: str = ""
    hypotheses: tuple[str, ...] = ()
    observed: Any = None
    problem: str = ""

    @property
    def outcome(self) -> str:
        """The result in a few words."""
        if self.problem:
            return f"no result: {self.problem}"
        if self.answer:
            return self.answer
        if self.hypotheses:
            return "none of the hypotheses"
        if isinstance(self.observed, dict):
            if any(isinstance(value, dict) for value in self.observed.values()):
                return "recorded"
            return ", ".join(f"{name} {_short(value)}" for name, value in self.observed.items())
        return _short(self.observed)


@dataclass(frozen=True)
class ProbeFile:
    """What all experiments on one board have found.

    Args:
        board: name, kind, chip, device and serial number, and the versions of what runs on it.
        started: ISO 8601 time.
        seconds: that all experiments took.
        findings: one for each experiment, in their order.
        speckflex: version that ran the experiments.
        path: of the file it was read from; "" for none.
    """

    board: Mapping[str, str]
    started: str
    seconds: float
    findings: tuple[Finding, ...]
    speckflex: str
    path: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """The board and a hash of the findings, for the provenance of recordings."""
        text = json.dumps([vars(one) for one in self.findings], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.board.get('name', '')} {self.board.get('serial', '')} ({digest})"

    @cached_property
    def answers(self) -> dict[str, str]:
        """The answers by the name of their experiment, of those that found one."""
        return {one.name: one.answer for one in self.findings if one.answer}

    def to_plain(self) -> dict[str, Any]:
        """Return the content of the file, of plain JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "speckflex": self.speckflex,
            "board": dict(self.board),
            "started": self.started,
            "seconds": self.seconds,
            "findings": [
                {item.name: getattr(one, item.name) for item in fields(one)}
                for one in self.findings
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the file.

        Raises:
            FileFormatError: `path` can't be written, or has the suffix of another format.
        """
        problem = suffix_problem(path, ".json")
        if problem:
            raise FileFormatError(problem)
        write_whole(path, json.dumps(self.to_plain(), indent=1) + "\n", FileFormatError)

    @staticmethod
    def load(path: str | Path) -> ProbeFile:
        """Read a file that `save` wrote.

        Raises:
            FileFormatError: the file is missing, damaged, too new, or no such file.
        """
        values = _read(Path(path))
        try:
            found = _assemble(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileFormatError(
                f"{path}: its contents are no findings of a board ({type(error).__name__}:"
                f" {shown(str(error))[:120]}): run speckflex probe again"
            ) from error
        return replace(found, path=str(path))

    def applied_to(self, settings: _Settings) -> _Settings:
        """Return settings of a twin or a virtual devkit with what the experiments have found.

        A setting that is not at its default stays: who set it knows better.

        Raises:
            BoardError: an answer is no value of its setting.
        """
        changed = {}
        for item in fields(settings):
            answer = self.answers.get(item.name)
            if answer is not None and getattr(settings, item.name) == item.default:
                hint = get_type_hints(type(settings))[item.name]
                changed[item.name] = _as_value(answer, hint, item.default)
        try:
            return replace(settings, **changed)
        except BoardError as error:
            raise BoardError(
                f"{self.path or 'the probe file'}: {error}: it is of another version of speckflex,"
                " run speckflex probe again"
            ) from error


def _as_value(answer: str, hint: Any, default: Any) -> Any:
    """Return the value of a setting that is spelt as `answer`; the answer itself if none is."""
    choices = get_args(hint) if get_origin(hint) is not None else (default,)
    for choice in choices:
        if str(choice) == answer:
            return choice
    if isinstance(default, int) and not isinstance(default, bool) and answer.isdecimal():
        return int(answer)
    return answer


def _read(path: Path) -> Any:
    remedy = "it is no file of speckflex probe, give one that it wrote"
    content = read_file(path, FileFormatError, remedy, largest=MAX_BYTES)
    try:
        values = parse_json(content)
    except ValueError as error:
        raise FileFormatError(
            f"{path}: is no JSON ({shown(str(error))[:120]}): give a file that speckflex probe"
            " wrote"
        ) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise FileFormatError(
            f"{path}: is no file of speckflex probe: give one that it wrote with --out"
        )
    if values.get("version") != VERSION or isinstance(values.get("version"), bool):
        raise FileFormatError(
            f"{path}: has version {values.get('version')!r:.20}, this speckflex reads {VERSION}:"
            " update speckflex, or run speckflex probe again"
        )
    return values


def _assemble(values: dict[str, Any]) -> ProbeFile:
    board, rows = values["board"], values["findings"]
    if not isinstance(board, dict) or not isinstance(rows, list) or len(rows) > MAX_FINDINGS:
        raise ValueError("board or findings")
    seconds = values["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError("seconds")
    return ProbeFile(
        board={_text(name): _text(value) for name, value in board.items()},
        started=_text(values["started"]),
        seconds=float(seconds),
        findings=tuple(_finding(row) for row in rows),
        speckflex=_text(values["speckflex"]),
    )


def _finding(row: dict[str, Any]) -> Finding:
    found = Finding(
        name=_text(row["name"]),
        question=_text(row["question"]),
        answer=_text(row["answer"]),
        hypotheses=_texts(row["hypotheses"]),
        observed=row["observed"],
        problem=_text(row["problem"]),
    )
    if found.answer and found.answer not in found.hypotheses:
        raise ValueError(f"{found.name}: answer {found.answer!r:.40} is none of its hypotheses")
    return found


def _text(value: Any) -> str:
    """Return a text without control codes, which may come from another machine."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return shown(value)


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r:.40} is no list")
    return tuple(_text(value) for value in values)


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
