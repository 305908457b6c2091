"""Step 6: play test recordings on the attached Speck, else on its twin, and report."""

from __future__ import annotations

from sizes import read_step

from speckflex.cli import main as speckflex


def main() -> None:
    """Deploy tuned.pt; the folder `report` gets report.html and all that is behind it."""
    step = read_step(__doc__ or "")
    samples = ["--samples", str(step.size.samples)] if step.size.samples else []
    data = ["--data", str(step.data), "--bins", str(step.size.t_max), *samples]
    target = ["--board", step.board, "--out", str(step.out / "report")]
    speckflex(["deploy", str(step.out / "tuned.pt"), *data, *target])


if __name__ == "__main__":
    main()
