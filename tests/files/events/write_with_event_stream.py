"""Write the recording with event_stream, as DVS and as ATIS events."""

import event_stream
import numpy as np
from made_recording import HEIGHT, WIDTH, rows

dvs = np.array(rows(), dtype=event_stream.dvs_dtype)
with event_stream.Encoder("event_stream-dvs.es", "dvs", WIDTH, HEIGHT) as encoder:
    encoder.write(dvs)
# every event of the recording, and a measurement of exposure behind each fifth
atis = [
    event
    for index, (t, x, y, p) in enumerate(rows())
    for event in [(t, x, y, False, p)] + [(t, x, y, True, p)] * (index % 5 == 0)
]
with event_stream.Encoder("event_stream-atis.es", "atis", WIDTH, HEIGHT) as encoder:
    encoder.write(np.array(atis, dtype=event_stream.atis_dtype))
