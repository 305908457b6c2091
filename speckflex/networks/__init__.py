"""Torch networks: files, their layer graph, folding, and the networks of the papers."""

from speckflex._support.delayed import delay_import

# sinabs imports it for one plot, and with it all of matplotlib.
delay_import("pylab")
