"""A deployment in shards: each plays its share, wherever it runs, and one report is made of all."""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from speckflex._support.files import write_whole
from speckflex._support.locks import lock
from speckflex._support.run_folder import new_run
from speckflex._support.text import command_words, one_line
from speckflex.conversion.model import ConvertedModel
from speckflex.data.order import OrderWatch, add_late
from speckflex.deployment._outlook import Outlook, look_out
from speckflex.deployment._players import Collected
from speckflex.deployment._result import Background, report_on
from speckflex.deployment._shard_file import (
    Heading,
    ShardContent,
    read_heading,
    read_shard,
    shard_bytes,
)
from speckflex.deployment.deploy import Deployment, Job, prepared
from speckflex.deployment.progress import Progress, ignore
from speckflex.errors import FileFormatError, SpeckflexError
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from speckflex.boards.choosing import ChosenBoard
    from speckflex.data import EventDataset
    from speckflex.deployment.deploy import Data, DeploySettings, Model
    from speckflex.deployment.progress import Watch
    from speckflex.report.record import Report

__all__ = [
    "MergedShards",
    "PlayedShard",
    "Shard",
    "ShardRun",
    "contents_of",
    "deploy_shard",
    "heading_of",
    "merge_contents",
    "merge_shards",
    "play_shard",
]

SECONDS_TO_SAVE = 60.0  # of playing that a kill may cost
FILES = "shard-*-of-*.shard"


@dataclass(frozen=True)
class Shard:
    """One of the equal parts of a deployment.

    Args:
        index: which part it is, from 1.
        count: how many parts there are.

    Raises:
        SpeckflexError: there is no such part.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise SpeckflexError(
                f"shard {self.index}/{self.count}: shards are counted from 1 up to their number:"
                " give such as 3/64"
            )

    @staticmethod
    def parse(text: str) -> Shard:
        """Return the shard that a text such as "3/64" names.

        Raises:
            SpeckflexError: it names none.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
        if found is None:
            raise SpeckflexError(
                f"{text!r} is no shard: give its number and the number of all, such as 3/64"
            )
        return Shard(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"shard-{self.index}-of-{self.count}.shard"

    def share(self, n_samples: int, batch: int) -> range:
        """Return the positions of its recordings.

        They are whole batches wherever there is a batch for each shard, so that each player gets
        the same samples at once as without shards.

        Args:
            n_samples: number of all recordings.
            batch: number of samples that a player plays at once.
        """
        unit = batch if -(-n_samples // batch) >= self.count else 1
        n_units = -(-n_samples // unit)
        start, stop = (
            min(n_samples, unit * (n_units * part // self.count))
            for part in (self.index - 1, self.index)
        )
        return range(start, stop)


@dataclass(frozen=True)
class PlayedShard:
    """What became of a shard.

    Args:
        shard: which one.
        path: its file.
        played: number of its samples that are played.
        samples: number of its samples.
        before: number of these that an earlier run had played.
        is_whole: whether nothing is left to do.
    """

    shard: Shard
    path: Path
    played: int
    samples: int
    before: int
    is_whole: bool


@dataclass(frozen=True, eq=False)
class MergedShards:
    """The report on shards.

    Args:
        deployment: what one process would have returned; of the samples that are there.
        count: how many shards there are.
        missing: the numbers of those that are not there.
        partly: the numbers of those that are not played to their end.
        samples: number of recordings of all shards.
    """

    deployment: Deployment
    count: int
    missing: tuple[int, ...]
    partly: tuple[int, ...]
    samples: int


@dataclass(frozen=True)
class ShardRun:
    """Which shard is played, and where its file goes.

    Args:
        shard: which one.
        folder: takes the file; it is made if it is missing. Shards may share it.
        samples: number of recordings of all shards, balanced over the classes; None for all.
        save_every: seconds of playing after which the file is written.
    """

    shard: Shard
    folder: str | Path
    samples: int | None = None
    save_every: float = SECONDS_TO_SAVE

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.folder) / self.shard.file_name


def deploy_shard(
    model: Model,
    data: Data,
    board: str | ChosenBoard,
    run: ShardRun,
    *,
    settings: DeploySettings | None = None,
    progress: Watch = ignore,
) -> PlayedShard:
    """Play a share of the recordings and write it to a file: `speckflex deploy --shard`.

    The file has its name from the first save on, and holds what was played by then. So a run
    that was ended goes on where it was last saved, and a shard that is whole is not played again.

    Args:
        model: as for `deploy`.
        data: as for `deploy`; all shards of a deployment get the same.
        board: as for `deploy`.
        run: which shard, and where its file goes.
        settings: as for `deploy`.
        progress: called with each step.

    Raises:
        FileFormatError: the folder can't be written, holds the same shard of another deployment,
            or another process plays the shard.
        SpeckflexError: as for `deploy`.
    """
    shard, path = run.shard, run.path
    with (
        _claimed(path, shard),
        prepared(
            model, data, board, samples=run.samples, settings=settings, progress=progress
        ) as job,
    ):
        heading = heading_of(job, shard)
        earlier = _earlier(path, heading)
        before = 0 if earlier is None else earlier.played.n_samples
        content = earlier
        if content is None or not content.is_whole:
            content = play_shard(
                job,
                heading,
                progress,
                earlier=earlier,
                save=lambda one: write_whole(path, shard_bytes(one), FileFormatError),
                save_every=run.save_every,
            )
    n_played, n_samples = content.played.n_samples, len(heading.share)
    return PlayedShard(shard, path, n_played, n_samples, before, content.is_whole)


@contextmanager
def _claimed(path: Path, shard: Shard) -> Iterator[None]:
    """Refuse a shard that another process plays."""
    mark = path.with_name(f".{path.name}.running")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = mark.open("a")
    except OSError as error:
        raise FileFormatError(
            f"{path.parent}: can't be written ({error.strerror}): choose another folder"
        ) from error
    with opened:
        if not lock(opened):
            raise FileFormatError(
                f"{path}: another process plays shard {shard.index}/{shard.count}: wait for its"
                " end, or choose another shard or folder"
            )
        try:
            yield
        finally:
            with suppress(OSError):
                mark.unlink()


def _earlier(path: Path, heading: Heading) -> ShardContent | None:
    """Return what an earlier run of the same shard has played; None if there was none."""
    if not path.exists():
        return None
    problem = _mismatch(read_heading(path), heading)
    if problem:
        raise FileFormatError(
            f"{path}: is a shard of another deployment, {problem}: remove it, or choose another"
            " folder"
        )
    return read_shard(path)


def heading_of(job: Job, shard: Shard) -> Heading:
    """Return which shard of which deployment is to be played.

    Raises:
        SpeckflexError: there are fewer recordings than shards.
    """
    n_samples = len(job.dataset)
    if shard.count > n_samples:
        raise SpeckflexError(
            f"shard {shard}: {job.dataset.name} has {n_samples} recordings to"
            f" play: choose at most {n_samples} shards"
        )
    share = shard.share(n_samples, job.settings.batch)
    return Heading(shard.index, shard.count, share, n_samples, _identity(job))


def _identity(job: Job) -> dict[str, str]:
    """Return what the shards of one deployment have in common."""
    settings = job.settings
    apart = ("threads", "command", "probe")
    stated = {key: str(value) for key, value in asdict(settings).items() if key not in apart}
    probe = Path(settings.probe).read_bytes() if settings.probe else b""
    return {
        "speckflex": __version__,
        "program": job.model.program.sha256,
        "network": _network_of(job.model),
        "board": _boards_of(job.chosen),
        "data": _data_identity(job.dataset),
        **stated,
        "probe": hashlib.sha256(probe).hexdigest() if probe else "none",
    }


def _boards_of(chosen: ChosenBoard) -> str:
    """Return which boards may share a deployment: all chips of a family, all twins."""
    family = chosen.family
    return family.name if family.is_chip or family.is_twin else chosen.board.name


def _network_of(model: ConvertedModel) -> str:
    """Return which networks play in torch, beside the program."""
    if model.network is None:
        return "none, the program alone"
    words = "as it was given" if model.trained is None else "as it was given, and folded"
    return f"{words}, file {model.file_sha256[:12]}" if model.file_sha256 else words


def _data_identity(dataset: EventDataset) -> str:
    """Return a name for the recordings, from their labels and from the first and last of them."""
    found = hashlib.sha256(repr((dataset.shape, dataset.classes, dataset.changes)).encode())
    found.update(dataset.labels.tobytes())
    for index in (0, len(dataset) - 1):
        found.update(dataset[index][0].tobytes())
    return f"{dataset.name}, {len(dataset)} recordings, {found.hexdigest()[:16]}"


def _mismatch(one: Heading, other: Heading) -> str:
    """Return how a shard differs from another one of the same deployment; "" if it does not."""
    for name in (*other.identity, *one.identity):
        here, there = one.identity.get(name, "nothing"), other.identity.get(name, "nothing")
        if here != there:
            return f"{name} {here:.80} in place of {there:.80}"
    if one.count != other.count:
        return f"one of {one.count} shards in place of {other.count}, so that they overlap"
    return ""


def play_shard(
    job: Job,
    heading: Heading,
    watch: Watch,
    *,
    earlier: ShardContent | None = None,
    save: Callable[[ShardContent], object] | None = None,
    save_every: float = SECONDS_TO_SAVE,
) -> ShardContent:
    """Play what is left of a share, and return all of it.

    Args:
        job: the deployment.
        heading: which shard of it.
        watch: called with each step.
        earlier: what was played of it before.
        save: called now and then, and at the end, with all that was played so far.
        save_every: seconds between two of these calls.

    Raises:
        KeyboardInterrupt: no sample was played before the interrupt.
    """
    share, order = heading.share, OrderWatch()
    collected = Collected([] if earlier is None else [earlier.played])
    done = 0 if earlier is None else earlier.played.n_samples

    def content(outlook: Outlook) -> ShardContent:
        played = collected.whole
        assert played is not None  # noqa: S101 - something was played
        late = add_late([None if earlier is None else earlier.late, order.late])
        background = job.background(order)
        report, _ = report_on(played, background, outlook, new_run())
        return ShardContent(
            heading=heading,
            threads=getattr(job.chosen.board, "threads", 1),
            rate=job.settings.rate,
            late=late,
            played=played,
            program=job.model.program,
            report=report,
        )

    last = time.monotonic()

    def now_and_then() -> None:
        nonlocal last
        if save is not None and time.monotonic() - last >= save_every:
            save(content(Outlook(interrupted=True)))
            last = time.monotonic()

    left = range(share.start + done, share.stop)
    interrupted = bool(left) and job.play(left, collected, order, watch, now_and_then)
    outlook = Outlook(interrupted=interrupted)
    if not interrupted and heading.index == 1:
        n_first = min(job.settings.kept.spikes, heading.samples)
        first = [events for events, _ in job.dataset[:n_first]]
        outlook = look_out(job.model, job.dataset, job.settings, first, watch)
    watch(Progress("report"))
    whole = content(outlook)
    if save is not None:
        save(whole)
    return whole


def merge_shards(paths: Sequence[str | Path]) -> MergedShards:
    """Return the one report on shards that were played apart: `speckflex merge`.

    Shards that are missing, or not played to their end, leave a report on the samples that there
    are, which says so.

    Args:
        paths: files of shards, or folders that hold them.

    Raises:
        FileFormatError: there is no shard, one is there twice, they are not of one deployment, or
            a file is damaged.
    """
    found = _ordered([file for path in paths for file in _files(Path(path))])
    first = next(iter(found.values()))
    partly: list[int] = []

    def contents() -> Iterator[ShardContent]:
        for path in found.values():
            content = read_shard(path)
            if not content.is_whole:
                partly.append(content.heading.index)
            yield content

    count = read_heading(first).count
    missing = tuple(index for index in range(1, count + 1) if index not in found)
    try:
        deployment = merge_contents(contents(), missing=missing)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        # each file is sound alone, so one was changed after it was written
        raise FileFormatError(
            f"{first} and the other shards do not add up ({one_line(error)}): play them again"
        ) from error
    samples = read_heading(first).samples
    return MergedShards(deployment, count, missing, tuple(partly), samples)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise FileFormatError(f"{path}: no such file or folder: check its path")
        return [path]
    found = sorted(path.glob(FILES))
    if not found:
        raise FileFormatError(
            f"{path}: holds no shard: name a folder that deploy --shard 1/N --out wrote to"
        )
    return found


def _ordered(paths: Sequence[Path]) -> dict[int, Path]:
    """Return the files by the number of the shard, in order, if they are of one deployment."""
    found: dict[int, Path] = {}
    head: tuple[Path, Heading] | None = None
    for path in paths:
        heading = read_heading(path)
        head = head or (path, heading)
        problem = _mismatch(heading, head[1])
        if problem:
            raise FileFormatError(
                f"{path} and {head[0]} are of different deployments, {problem}: merge the shards of"
                " one deployment"
            )
        if heading.index in found and found[heading.index].resolve() != path.resolve():
            raise FileFormatError(
                f"{path} and {found[heading.index]} both hold shard {heading.name}: give one of"
                " them"
            )
        found[heading.index] = path
    return dict(sorted(found.items()))


def merge_contents(contents: Iterable[ShardContent], *, missing: Sequence[int] = ()) -> Deployment:
    """Return the deployment that shards make together.

    Args:
        contents: of the shards in order, at least one; all of one deployment.
        missing: the numbers of the shards that are not among them.
    """
    collected, late, partly = Collected(), [], []
    boards: dict[str, None] = {}
    head: ShardContent | None = None
    for content in contents:
        head = head or content
        collected.add(content.played)
        boards[content.report.board] = None
        late.append(content.late)
        partly += [] if content.is_whole else [content.heading.index]
    played = collected.whole
    assert head is not None  # noqa: S101 - the caller gives one
    assert played is not None  # noqa: S101
    warnings = [one.sentence for one in [add_late(late)] if one is not None]
    if missing or partly:
        warnings.append(_what_is_missing(head.heading, missing, partly, played.n_samples))
    if len(boards) > 1:
        warnings.append(f"the shards were played on {len(boards)} boards: {', '.join(boards)}")
    report = head.report
    run_id = new_run()
    merged, recordings = report_on(played, _background(head, warnings), _outlook(report), run_id)
    run = head.report.run
    model = ConvertedModel(Path(run.model_path if run else "program.speck"), head.program)
    return Deployment(model, recordings, merged, run_id)


def _what_is_missing(
    heading: Heading, missing: Sequence[int], partly: Sequence[int], n_samples: int
) -> str:
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {heading.count} shards missing ({_listed(missing)})")
    if partly:
        problems.append(f"{len(partly)} not played to their end ({_listed(partly)})")
    words = ", ".join(problems)
    return f"{words}: all figures are of {n_samples} of {heading.samples} recordings"


def _listed(numbers: Sequence[int], most: int = 10) -> str:
    listed = ", ".join(map(str, numbers[:most]))
    return listed if len(numbers) <= most else f"{listed}, ..."


def _background(head: ShardContent, warnings: Sequence[str]) -> Background:
    """Return what a report says besides what was played, as the first shard knows it."""
    report = head.report
    assert report.run is not None  # noqa: S101 - each shard is a deployment
    words = command_words(report.command)
    kept = [
        word
        for word, before in zip(words, ["", *words], strict=False)
        if "--shard" not in (word, before) and not word.startswith("--shard=")
    ]
    return Background(
        program=head.program,
        checks=report.checks,
        run=replace(report.run, data=replace(report.run.data, warnings=tuple(warnings))),
        synthetic=report.synthetic,
        command=shlex.join(kept),
        rate=head.rate,
        bars=report.bars,
    )


def _outlook(report: Report) -> Outlook:
    """Return what the shard with the first samples has measured."""
    return Outlook(
        loads=() if report.core_loads is None else report.core_loads.load,
        ensemble=None if report.chance is None else report.chance.ensemble,
        effects=() if report.causes is None else report.causes.sensitivity,
    )


def contents_of(parts: Iterable[bytes]) -> Iterator[ShardContent]:
    """Yield what shards have played, from the contents of their files."""
    return (read_shard(io.BytesIO(part)) for part in parts)
