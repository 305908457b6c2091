"""The configuration records of Speck2e and Speck2f, declared field by field.

Fields and defaults: samna's reference, sinabs 3.1.3 and its tests. Evidenced defaults are the 1x1
core dimensions, the 128x128 output of the DVS layer, pooling 1, and all switches off; the other
defaults are assumptions, as are the fields of `FactoryConfig`.
"""

from speckflex.chips.speck import CORES, MAX_DESTINATIONS, MAX_INPUT_SIZE
from speckflex.virtual.fields import Flag, Integer, Nested
from speckflex.virtual.records import Array, Record, Struct

__all__ = [
    "CONFIGURATION_CLASSES",
    "CnnLayerConfig",
    "CnnLayerDestination",
    "CnnLayerDimensions",
    "DvsFilterConfig",
    "DvsLayerConfig",
    "DvsLayerDestination",
    "FactoryConfig",
    "ReadoutConfig",
    "SpeckConfiguration",
    "Vec2Bool",
    "Vec2UnsignedChar",
]

UNSIGNED_MAX = 2**32 - 1
LAST_PIXEL = MAX_INPUT_SIZE - 1


class Vec2UnsignedChar(Record):
    """Two numbers of 8 bits."""

    __slots__ = ()
    x = Integer(0, 0, 255)
    y = Integer(0, 0, 255)

    def __repr__(self) -> str:
        return f"({self.x}, {self.y})"


class Vec2Bool(Record):
    """Two switches."""

    __slots__ = ()
    x = Flag()
    y = Flag()

    def __repr__(self) -> str:
        return f"({self.x}, {self.y})"


class CnnLayerShape(Record):
    """The size of a map and its number of features."""

    __slots__ = ()
    size = Struct(Vec2UnsignedChar, x=1, y=1)
    feature_count = Integer(1, 0, UNSIGNED_MAX)


class CnnLayerDimensions(Record):
    """The geometry of a core's convolution."""

    __slots__ = ()
    padding = Struct(Vec2UnsignedChar)
    stride = Struct(Vec2UnsignedChar, x=1, y=1)
    kernel_size = Integer(1, 0, UNSIGNED_MAX)
    input_shape = Struct(CnnLayerShape)
    output_shape = Struct(CnnLayerShape)


class CnnLayerDestination(Record):
    """Where a core sends its spikes."""

    __slots__ = ()
    enable = Flag()
    layer = Integer(0, 0, 255)
    pooling = Integer(1, 0, UNSIGNED_MAX)
    feature_shift = Integer(0, 0, UNSIGNED_MAX)


class CnnLayerConfig(Record):
    """One core."""

    __slots__ = ()
    biases = Nested(1)
    destinations = Array(CnnLayerDestination, MAX_DESTINATIONS)
    dimensions = Struct(CnnLayerDimensions)
    input_congestion_balancer_enable = Flag()
    leak_enable = Flag()
    leak_internal_slow_clk_enable = Flag()
    monitor_enable = Flag()
    neurons_initial_value = Nested(3)
    output_decimator_enable = Flag()
    output_decimator_interval = Integer(0, 0, 7)
    return_to_zero = Flag()
    threshold_high = Integer()
    threshold_low = Integer()
    weights = Nested(4)


class DvsLayerDestination(Record):
    """Where the DVS layer sends its events."""

    __slots__ = ()
    enable = Flag()
    layer = Integer(0, 0, 255)


class DvsLayerConfig(Record):
    """The pre-processing of sensor events and of events injected as DvsEvent."""

    __slots__ = ()
    destinations = Array(DvsLayerDestination, MAX_DESTINATIONS)
    merge = Flag()
    mirror = Struct(Vec2Bool)
    mirror_diagonal = Flag()
    cut = Struct(Vec2UnsignedChar, x=LAST_PIXEL, y=LAST_PIXEL)
    origin = Struct(Vec2UnsignedChar)
    pooling = Struct(Vec2UnsignedChar, x=1, y=1)
    pass_sensor_events = Flag(default=True)
    monitor_enable = Flag()
    raw_monitor_enable = Flag()
    on_channel = Flag(default=True)
    off_channel = Flag(default=True)


class DvsFilterConfig(Record):
    """The noise filter behind the DVS layer."""

    __slots__ = ()
    enable = Flag()
    filter_size = Struct(Vec2UnsignedChar)
    hot_pixel_filter_enable = Flag()
    internal_slow_clk = Flag()
    low_pass_mode_enable = Flag()
    threshold = Integer(0, 0, 255)


class ReadoutConfig(Record):
    """The readout layer: which of 15 classes spikes most."""

    __slots__ = ()
    enable = Flag()
    readout_configuration_sel = Integer(0, 0, 3)
    output_mode_sel = Integer(0, 0, 3)
    threshold = Integer(0, 0, UNSIGNED_MAX)
    low_pass_filter_disable = Flag()
    low_pass_filter32_not16 = Flag()
    monitor_enable = Flag()
    readout_pin_monitor_enable = Flag()
    override_threshold_max = Flag()
    output_neuron_num = Integer(0, 0, UNSIGNED_MAX)
    internal_slow_clk = Flag()


class MemoryTiming(Record):
    """Timing of one memory macro."""

    __slots__ = ()
    clock_pulse = Integer(0, 0, UNSIGNED_MAX)
    clock_setup = Integer(0, 0, UNSIGNED_MAX)
    macro_read = Integer(0, 0, UNSIGNED_MAX)


class CnnLayerTiming(Record):
    """Timing of one core's memories."""

    __slots__ = ()
    kernel = Struct(MemoryTiming)
    neuron = Struct(MemoryTiming)


class FactoryConfig(Record):
    """Settings that users leave alone, but for the clock divider and the output pins."""

    __slots__ = ()
    io_sel = Integer(0, 0, UNSIGNED_MAX)
    internal_slow_clk_divider = Integer(14, 14, 17)
    fast_output = Flag()
    monitor_dual_channel = Flag()
    cnn_layers = Array(CnnLayerTiming, len(CORES))


class SpeckConfiguration(Record):
    """Everything that is written to the chip."""

    __slots__ = ()
    cnn_layers = Array(CnnLayerConfig, len(CORES))
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
