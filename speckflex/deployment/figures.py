"""The figures of a run as drawings for a thesis: SVG and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speckflex._support.pictures import new_picture, save_picture
from speckflex.errors import FileFormatError
from speckflex.recordings.compare import compare
from speckflex.recordings.recording import Recording
from speckflex.report import read_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure

    from speckflex.report.record import Report

__all__ = ["FORMATS", "write_figures"]

FORMATS = ("svg", "pdf")
BEHIND = "#c44e52"  # colour of a core that does not keep up
# the roles of the recordings of a run, the board first
ROLES = ("chip", "twin", "torch")


def write_figures(
    run: str | Path, out: str | Path, *, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Draw the figures of a run into a folder and return the files.

    They are: the accuracy of each step ("ladder"), spike difference and spikes of each layer
    ("layers"), the load of the cores ("load"), and of the first sample the spikes of the output
    ("output") and of the first layer ("first-layer"). What the run does not hold is left out.

    Args:
        run: the folder that `speckflex deploy --out` wrote.
        out: folder for the drawings; it is made if it is missing.
        formats: "svg", "pdf", or both.

    Raises:
        FileFormatError: the folder holds no run, or `out` can't be written.
        SpeckflexError: matplotlib is not installed.
    """
    run, out = Path(run), Path(out)
    report = read_report(run / "report.json")
    recordings = {
        role: Recording.load(path)
        for role in ROLES
        if (path := run / f"recording-{role}.h5").is_file()
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"{out}: can't be written ({error.strerror}): choose another folder"
        ) from error
    return [
        save_picture(picture, out / f"{name}.{form}")
        for name, picture in _figures(report, recordings)
        for form in formats
    ]


def _figures(report: Report, recordings: dict[str, Recording]) -> Iterator[tuple[str, Figure]]:
    if any(step.accuracy is not None for step in report.steps.ladder):
        yield "ladder", _ladder(report)
    pair = [recordings[role] for role in ROLES if role in recordings][:2]
    if len(pair) == 2:
        yield "layers", compare(pair[0], pair[1]).plot()
    if report.core_loads is not None and report.core_loads.load:
        yield "load", _load(report)
    if pair and pair[0].n_samples:
        board = pair[0]
        if board.layers[-1].events:
            yield "output", board.raster(board.layers[-1].index)
        if board.layers[0].events:
            yield "first-layer", board.frames(board.layers[0].index)


def _ladder(report: Report) -> Figure:
    """Return the accuracy of each step with its 95 % interval."""
    steps = [step for step in report.steps.ladder if step.accuracy is not None]
    picture = new_picture(6.0, 0.9 + 0.36 * len(steps))
    axes = picture.subplots()
    for row, step in enumerate(steps):
        share = 100 * (step.accuracy or 0.0)
        low, high = step.accuracy_interval or (share / 100, share / 100)
        axes.plot([100 * low, 100 * high], [row, row], color="0.6")
        axes.plot(share, row, "o", color="#4c72b0")
        axes.annotate(f"{share:.2f} %", (share, row), xytext=(0, 6), textcoords="offset points")
    axes.set(
        xlabel=f"accuracy (%), {report.samples} samples, with 95 % intervals",
        yticks=range(len(steps)),
        yticklabels=[step.step for step in steps],
    )
    axes.margins(y=0.3)
    axes.invert_yaxis()
    return picture


def _load(report: Report) -> Figure:
    """Return what is asked of each core, with the rate that a core is taken to have."""
    loads = report.core_loads
    assert loads is not None  # noqa: S101 - the caller asks only where it was measured
    picture = new_picture(6.0, 0.9 + 0.36 * len(loads.load))
    axes = picture.subplots()
    demand = [one.demand / 1e6 for one in loads.load]
    colours = ["#4c72b0" if one.passed else BEHIND for one in loads.load]
    axes.barh(range(len(demand)), demand, color=colours)
    axes.axvline(loads.load_rate / 1e6, color="0.3", linestyle="--", label="rate (unverified)")
    axes.set(
        xlabel="demand (million synaptic operations per second)",
        yticks=range(len(demand)),
        yticklabels=[one.name for one in loads.load],
    )
    if not all(one.passed for one in loads.load):
        axes.bar(0, 0, color=BEHIND, label="does not keep up")
    axes.legend(fontsize="small")
    axes.invert_yaxis()
    return picture
