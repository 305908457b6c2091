"""Write the recording with v2e's writer of AEDAT 2, on a DAVIS346."""

import numpy as np
from made_recording import rows
from v2ecore.output.aedat2_output import AEDat2Output

# v2e takes seconds, and cuts parts of a µs off; polarities are -1 and 1
events = [((t + 0.5) / 1e6, x, y, 2 * p - 1) for t, x, y, p in rows()]
writer = AEDat2Output("v2e.aedat", output_width=346, output_height=260)
writer.appendEvents(np.array(events))
writer.close()
