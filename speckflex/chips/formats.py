"""The number formats that chips, programs and kernels share.

Sources: DS = "Speck Dev Kit Datasheet" (SynSense, August 2023).
"""

__all__ = [
    "FILTER_WINDOWS",
    "MAX_FILTER_SIZE",
    "NEURON_MAX",
    "NEURON_MIN",
    "WEIGHT_MAX",
    "WEIGHT_MIN",
]

WEIGHT_MIN, WEIGHT_MAX = -128, 127  # 8-bit signed, DS table 3
NEURON_MIN, NEURON_MAX = -(2**15), 2**15 - 1  # 16-bit signed, DS table 3

# Ticks of the slow clock; data sheet 1.02, register FDEL of 16 bits. The data sheet of 2023 has an
# example of 25.
FILTER_WINDOWS = range(1, 2**16)
# Pixels; data sheet 1.02, register FKSX of 3 bits. Seven on either side make the 15 x 15 pixels of
# DS 3.2.3.5; that the number is a radius, not a width, is inferred from that.
MAX_FILTER_SIZE = 7
