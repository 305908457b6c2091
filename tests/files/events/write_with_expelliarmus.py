"""Write the recording with expelliarmus as DAT; the times in the EVT3 files it writes are wrong."""

import numpy as np
from expelliarmus import Wizard
from made_recording import rows

events = np.array(rows(), dtype=[("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
Wizard(encoding="dat").save(fpath="expelliarmus.dat", arr=events)
