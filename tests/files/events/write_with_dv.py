"""Write the recording with dv-processing."""

import dv_processing as dv
from made_recording import HEIGHT, WIDTH, rows

store = dv.EventStore()
for t, x, y, p in rows():
    store.push_back(t, x, y, bool(p))
for name, compression in (
    ("dv-lz4", dv.CompressionType.LZ4),
    ("dv-zstd", dv.CompressionType.ZSTD),
    ("dv-none", dv.CompressionType.NONE),
):
    config = dv.io.MonoCameraWriter.EventOnlyConfig("camera", (WIDTH, HEIGHT), compression)
    writer = dv.io.MonoCameraWriter(f"{name}.aedat4", config)
    writer.setPackagingCount(150)
    writer.writeEvents(store)
    del writer
