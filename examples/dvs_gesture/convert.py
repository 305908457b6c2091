"""Step 5: convert to the chip's integers, place the layers on cores, and draw them."""

from __future__ import annotations

from sizes import read_step

import speckflex as sf
from speckflex.report.network_diagram import write_network_diagram


def main() -> None:
    """Read tuned.pt, write program.speck and network.svg."""
    step = read_step(__doc__ or "")
    network = sf.load_network(step.out / "tuned.pt")
    program = sf.convert(network, input_shape=(2, 128, 128))
    program.save(step.out / "program.speck")
    write_network_diagram(program, step.out / "network.svg")
    for core in program.cores:
        print(f"{core.name}: core {core.chip_core}, {core.weights.size} weights")


if __name__ == "__main__":
    main()
