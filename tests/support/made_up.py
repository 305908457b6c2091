"""Programs and recordings made up for tests of reports."""

import numpy as np

from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog


def two_core_program(name: str = "conv1"):
    """Return a convolution and a dense layer, placed on cores 2 and 3."""
    first = Core(
        name,
        np.arange(-9, 9).reshape(2, 1, 3, 3),
        8,
        -8,
        (1, 6, 6),
        padding=(1, 1),
        destinations=(Destination(1, pooling=2),),
        chip_core=2,
    )
    last = Core("fc", np.full((3, 2, 3, 3), 127), 127, -127, (2, 3, 3), chip_core=3)
    return Program((first, last), InputStage((1, 6, 6)))


def random_stream(rng: np.random.Generator, shape: tuple, n: int):
    """Return events anywhere in a (channel, y, x) shape, over 50 ms."""
    channels, height, width = shape
    return make_events(
        np.sort(rng.integers(0, 50_000, n)),
        rng.integers(0, width, n),
        rng.integers(0, height, n),
        rng.integers(0, channels, n),
    )


def played(program: Program, rng: np.random.Generator, kind: str, n_samples: int = 4):
    """Return made-up spikes of every layer, as a board would give them."""
    layers = []
    for index, core in enumerate(program.cores):
        events = tuple(
            random_stream(rng, core.output_shape, int(rng.integers(5, 30)))
            for _ in range(n_samples)
        )
        counts = np.zeros((n_samples, *core.output_shape), np.int64)
        for sample, stream in enumerate(events):
            np.add.at(counts[sample], (stream["p"], stream["y"], stream["x"]), 1)
        layers.append(LayerRecord(index, core.name, counts, events))
    return Recording(
        tuple(layers),
        len(layers),
        (SampleLog(50, 50, 30, lost=1),) * n_samples,
        Provenance(program.sha256, f"{kind}:0", kind, versions={"speckflex": "0"}),
        np.arange(n_samples) % 3,
    )
