"""What conversion does before sinabs' backend: trace, prepare, mend, and count what 8 bits lose."""

from speckflex._support.delayed import delay_import

# sinabs imports it for one plot, and with it all of matplotlib.
delay_import("pylab")
