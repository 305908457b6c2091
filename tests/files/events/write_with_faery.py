"""Write the recording with faery, in each of its formats."""

from pathlib import Path

import faery
import numpy as np
from made_recording import HEIGHT, WIDTH, rows

events = np.array(rows(), dtype=faery.EVENTS_DTYPE)
stream = faery.events_stream_from_array(events, (WIDTH, HEIGHT))
for name, version in (
    ("faery-evt2.raw", "evt2"),
    ("faery-evt3.raw", "evt3"),
    ("faery-dat2.dat", "dat2"),
    ("faery.es", None),
    ("faery.csv", None),
):
    stream.to_file(Path(name), version=version)
for name, compression in (("lz4", ("lz4", 1)), ("zstd", ("zstd", 1)), ("none", None)):
    stream.to_file(Path(f"faery-{name}.aedat4"), compression=compression)
