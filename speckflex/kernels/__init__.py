"""The loops that numba compiles: arrays and scalars in, no objects, no validation.

numba's cache looks at the file of the kernel that is called, not at those it calls. Whoever
changes `_lanes.py` or `integrate.py` clears `__pycache__`, so that all are compiled again.
"""
