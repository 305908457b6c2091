"""Every number of the Speck2e and Speck2f chips, once, with its source.

Sources: DS = "Speck Dev Kit Datasheet" (SynSense, August 2023); sinabs = the constraints
table of sinabs 3.1.3 (`sinabs/backend/dynapcnn/chips/dynapcnn.py`); samna = its reference.
"""

from dataclasses import replace

from speckflex.chips.chip import (
    Chip,
    CoreLimits,
    DvsLayer,
    FilterLimits,
    LayerLimits,
    ReadoutLayer,
    SamnaNames,
)
from speckflex.chips.formats import FILTER_WINDOWS, MAX_FILTER_SIZE

__all__ = ["SPECK2E", "SPECK2F", "SPECKS", "UNBOUNDED"]

KI = 1024

# DS table 1 and sinabs' constraints table; kernel words have 8 bits, the others 16.
# Cores 0 and 1 compute in parallel and do not repeat themselves exactly (sinabs' hardware tests).
CORES = (
    CoreLimits(0, 16 * KI, 64 * KI, KI, repeatable=False),
    CoreLimits(1, 16 * KI, 64 * KI, KI, repeatable=False),
    CoreLimits(2, 16 * KI, 64 * KI, KI),
    CoreLimits(3, 32 * KI, 32 * KI, KI),
    CoreLimits(4, 32 * KI, 32 * KI, KI),
    CoreLimits(5, 64 * KI, 16 * KI, KI),
    CoreLimits(6, 64 * KI, 16 * KI, KI),
    CoreLimits(7, 16 * KI, 16 * KI, KI),
    CoreLimits(8, 16 * KI, 16 * KI, KI),
)

LIMITS = LayerLimits(
    max_kernel=16,  # DS 2.4
    square_kernels=True,  # samna's CnnLayerDimensions has one kernel_size
    strides=(1, 2, 4, 8),  # DS 3.2.4.1, x and y independent
    max_padding=7,  # DS 3.2.4.1
    poolings=(1, 2, 4),  # DS 3.2.4.1, square towards a core, x and y independent in the DVS layer
    max_features=1024,  # DS 2.4
    max_input_size=128,  # DS 2.4, pixels a side
    max_output_size=64,  # DS 2.4, pixels a side before pooling
    max_destinations=2,  # DS 2.4, per core and for the DVS layer
    max_threshold_low=-1,  # DS 3.2.4.6.3: with 0 the silicon does not work
)

# the slow clock: samna 0.48.5's DvsFilterConfig; the low-pass mode: data sheet 1.02, register FLPF,
# and samna's reference of Speck2e, which has no such field
FILTER = FilterLimits(
    windows=FILTER_WINDOWS, max_size=MAX_FILTER_SIZE, clock_below=1000, low_pass=True
)
FILTER_2E = replace(FILTER, low_pass=False)

# 13: sinabs' notebook on spike counts; 128 x 128 pixels of two polarities: DS 2.4
DVS = DvsLayer(layer=13, shape=(2, 128, 128))

# 12: sinabs' notebook on the readout layer; 15 classes: DS 3.2.5. Erratum of both chips: class k
# listens to channel 4 (k - 1) of its core (sinabs' documentation, chip_errata). Shapes by
# `readout_configuration_sel`: samna 0.48.5's ReadoutConfig and data sheet 1.02, register ROCS.
READOUT = ReadoutLayer(
    layer=12, classes=15, stride=4, shapes=((4, 2, 2), (2, 4, 2), (1, 4, 4), (16, 1, 1))
)

# Unverified: one thesis on a Speck2f gives 10 M synaptic operations a second and core.
SYNOPS_PER_SECOND = 10_000_000

# The two chips have the same cores (DS). The types of devices, and the names of the input
# buffers, odd spelling included: sinabs 3.1.3, backend/dynapcnn/io.py and chips. The USB numbers:
# samna 0.48.5, devkits, summary of the Speck series.
SPECK2E = Chip(
    name="speck2e",
    label="Speck2e",
    cores=CORES,
    limits=LIMITS,
    event_filter=FILTER_2E,
    dvs=DVS,
    readout=READOUT,
    synops_per_second=SYNOPS_PER_SECOND,
    samna=SamnaNames(
        module="speck2e",
        devices=("Speck2eTestBoard", "Speck2eDevKit"),
        devkit="Speck2eDevKit",
        input_buffer="BasicSourceNode_speck2e_event_speck2e_input_event",
        usb=("04b4:5bc7", "337d:5bc8"),
    ),
)

SPECK2F = Chip(
    name="speck2f",
    label="Speck2f",
    cores=CORES,
    limits=LIMITS,
    event_filter=FILTER,
    dvs=DVS,
    readout=READOUT,
    synops_per_second=SYNOPS_PER_SECOND,
    samna=SamnaNames(
        module="speck2f",
        devices=("Speck2fModuleDevKit", "Speck2fDevKit"),
        devkit="Speck2fDevKit",
        input_buffer="BasicSourceNode_speck2f_event_input_event",
        usb=("337d:5bc9", "337d:5bca"),
    ),
)

SPECKS = (SPECK2E, SPECK2F)

# No chip: a Speck's cores without their limits, for layers of any size and number on the twin.
UNBOUNDED = Chip(
    name="unbounded",
    label="no chip in particular",
    cores=CORES,
    limits=LIMITS,
    event_filter=FILTER,
    dvs=DVS,
    readout=READOUT,
    synops_per_second=SYNOPS_PER_SECOND,
    bounded=False,
)
