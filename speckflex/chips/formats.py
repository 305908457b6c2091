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

FILTER_WINDOWS = range(1, 16)  # DS 3.2.3.5, ticks of the slow clock
MAX_FILTER_SIZE = 255  # 8 bits in samna's DvsFilterConfig; no source states a lower limit
