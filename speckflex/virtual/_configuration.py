"""The configuration records of Speck2e and Speck2f: one table of fields for each.

A line of a table is a field: its type and width, its default, and where these come from if not
from the record's own source. Widths of integers are assumed throughout: samna's reference says
"int" and no more. What is legal on the chip is in `validation`.
"""

from speckflex.chips.speck import SPECK2E
from speckflex.errors import BoardError
from speckflex.virtual._records import Array, Flag, Integer, Nested, Record, Struct

__all__ = [
    "CONFIGURATION_CLASSES",
    "SPECK",
    "CnnLayerConfig",
    "CnnLayerDestination",
    "CnnLayerDimensions",
    "CnnLayerShape",
    "ConfigurationError",
    "DvsFilterConfig",
    "DvsLayerConfig",
    "DvsLayerDestination",
    "FactoryConfig",
    "ReadoutConfig",
    "SpeckConfiguration",
    "Vec2Bool",
    "Vec2UnsignedChar",
]

SAMNA = "samna's reference, speck2f.configuration"
# in use by vendor's scripts, described nowhere
SCRIPTS = "scripts for samna; defaults assumed"
ASSUMED = "assumed"
# Speck2e and Speck2f have the same cores and limits, so that one record stands for both.
SPECK = SPECK2E
LAST_PIXEL = SPECK.dvs.shape[1] - 1


class ConfigurationError(BoardError, RuntimeError):
    """A configuration was refused; a RuntimeError too, as samna raises."""


class Vec2UnsignedChar(Record, source=SAMNA):
    """Two numbers of 8 bits."""

    __slots__ = ()
    x = Integer("uint8")
    y = Integer("uint8")

    def __repr__(self) -> str:
        return f"({self.x}, {self.y})"


class Vec2Bool(Record, source=SAMNA):
    """Two switches."""

    __slots__ = ()
    x = Flag()
    y = Flag()

    def __repr__(self) -> str:
        return f"({self.x}, {self.y})"


class CnnLayerShape(Record, source=SAMNA):
    """The size of a map and its number of features."""

    __slots__ = ()
    size = Struct(Vec2UnsignedChar, x=1, y=1)
    feature_count = Integer("uint32", 1)


class CnnLayerDimensions(Record, source=SAMNA):
    """The geometry of a core's convolution."""

    __slots__ = ()
    padding = Struct(Vec2UnsignedChar)
    stride = Struct(Vec2UnsignedChar, x=1, y=1)
    kernel_size = Integer("uint32", 1)
    input_shape = Struct(CnnLayerShape)
    output_shape = Struct(CnnLayerShape)


class CnnLayerDestination(Record, source=SAMNA):
    """Where a core sends its spikes."""

    __slots__ = ()
    enable = Flag()
    layer = Integer("uint8")
    pooling = Integer("uint32", 1)
    feature_shift = Integer("uint32")


class CnnLayerConfig(Record, source=SAMNA):
    """One core."""

    __slots__ = ()
    biases = Nested(1)
    destinations = Array(CnnLayerDestination, SPECK.limits.max_destinations)
    dimensions = Struct(CnnLayerDimensions)
    input_congestion_balancer_enable = Flag()
    leak_enable = Flag()
    leak_internal_slow_clk_enable = Flag()
    monitor_enable = Flag()
    neurons_initial_value = Nested(3)
    output_decimator_enable = Flag()
    output_decimator_interval = Integer("uint8", within=range(8))
    return_to_zero = Flag()
    threshold_high = Integer("int64")
    threshold_low = Integer("int64", source=ASSUMED)
    weights = Nested(4)


class DvsLayerDestination(Record, source=SAMNA):
    """Where the DVS layer sends its events."""

    __slots__ = ()
    enable = Flag()
    layer = Integer("uint8")


class DvsLayerConfig(Record, source=SAMNA):
    """The pre-processing of sensor events and of events injected as DvsEvent."""

    __slots__ = ()
    destinations = Array(DvsLayerDestination, SPECK.limits.max_destinations)
    merge = Flag()
    mirror = Struct(Vec2Bool)
    mirror_diagonal = Flag()
    cut = Struct(Vec2UnsignedChar, x=LAST_PIXEL, y=LAST_PIXEL)
    origin = Struct(Vec2UnsignedChar)
    pooling = Struct(Vec2UnsignedChar, x=1, y=1)
    pass_sensor_events = Flag(default=True, source=ASSUMED)
    monitor_enable = Flag()
    raw_monitor_enable = Flag()
    on_channel = Flag(default=True)
    off_channel = Flag(default=True)


class DvsFilterConfig(Record, source=SAMNA):
    """The noise filter behind the DVS layer."""

    __slots__ = ()
    enable = Flag()
    filter_size = Struct(Vec2UnsignedChar, source=ASSUMED)
    hot_pixel_filter_enable = Flag(source=ASSUMED)
    internal_slow_clk = Flag()
    low_pass_mode_enable = Flag(source=ASSUMED)
    threshold = Integer("uint8", source=ASSUMED)


class ReadoutConfig(Record, source=SAMNA):
    """The readout layer: which of 15 classes spikes most."""

    __slots__ = ()
    enable = Flag()
    readout_configuration_sel = Integer("uint8", within=range(4))
    output_mode_sel = Integer("uint8", within=range(4))
    threshold = Integer("uint32")
    low_pass_filter_disable = Flag()
    low_pass_filter32_not16 = Flag()
    monitor_enable = Flag()
    readout_pin_monitor_enable = Flag()
    override_threshold_max = Flag()
    output_neuron_num = Integer("uint32")
    internal_slow_clk = Flag()


class MemoryTiming(Record, source=SCRIPTS):
    """Timing of one memory macro."""

    __slots__ = ()
    clock_pulse = Integer("uint32")
    clock_setup = Integer("uint32")
    macro_read = Integer("uint32")


class CnnLayerTiming(Record, source=SCRIPTS):
    """Timing of one core's memories."""

    __slots__ = ()
    kernel = Struct(MemoryTiming)
    neuron = Struct(MemoryTiming)


class FactoryConfig(Record, source=SCRIPTS):
    """Settings that users leave alone, except the clock divider and the output pins."""

    __slots__ = ()
    io_sel = Integer("uint32")
    internal_slow_clk_divider = Integer("uint8", 14, within=range(14, 18), source=ASSUMED)
    fast_output = Flag()
    monitor_dual_channel = Flag(source=SAMNA)
    cnn_layers = Array(CnnLayerTiming, len(SPECK.cores))


class SpeckConfiguration(Record, source=SAMNA):
    """Everything that is written to the chip."""

    __slots__ = ()
    cnn_layers = Array(CnnLayerConfig, len(SPECK.cores))
    dvs_layer = Struct(DvsLayerConfig)
    dvs_filter = Struct(DvsFilterConfig)
    readout = Struct(ReadoutConfig)
    factory_config = Struct(FactoryConfig)


CONFIGURATION_CLASSES: tuple[type[Record], ...] = (
    CnnLayerConfig,
    CnnLayerDestination,
    CnnLayerDimensions,
    CnnLayerShape,
    DvsFilterConfig,
    DvsLayerConfig,
    DvsLayerDestination,
    FactoryConfig,
    ReadoutConfig,
    SpeckConfiguration,
)
