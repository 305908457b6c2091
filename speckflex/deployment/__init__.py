"""The main job: play recordings on a board, its twin and in torch, and compare them."""

from speckflex._support.delayed import delay_import

# sinabs imports it for one plot, and with it all of matplotlib.
delay_import("pylab")
