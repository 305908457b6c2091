"""Step 3: fold batch norm into the weights, without a bias, and say what that dropped."""

from __future__ import annotations

from sizes import read_step

from speckflex.fold import fold_with_report
from speckflex.network import load_network, save_network


def main() -> None:
    """Read base.pt, write folded.pt."""
    step = read_step(__doc__ or "")
    network, report = fold_with_report(
        load_network(step.out / "base.pt"), input_shape=(2, 128, 128)
    )
    save_network(network, step.out / "folded.pt")
    for layer in report.layers:
        print(
            f"{layer.layer}: took in {', '.join(layer.norms)}; dropped up to"
            f" {layer.dropped_max:.3f} thresholds a time step"
        )


if __name__ == "__main__":
    main()
