"""The configuration records of Speck2e and Speck2f: one table of fields for each.

A line of a table is a field: its type and width, its default, and where these come from if not
from the record's own source. Widths of integers are assumed throughout: samna's reference says
"int" and no more. What is legal on the chip is in `validation`.

Where Speck2e differs from Speck2f it has a class of its own, so that no chip takes the other's
configuration.
"""

from speckflex.chips.speck import SPECK2E, SPECK2F
from speckflex.errors import BoardError
from speckflex.virtual._records import Array, Flag, Integer, Nested, Record, Struct

__all__ = [
    "CHIP_CONFIGURATIONS",
    "CONFIGURATION_CLASSES",
    "SPECK",
    "CnnLayerConfig",
    "CnnLayerDestination",
    "CnnLayerDimensions",
    "ConfigurationError",
    "DebugConfig",
    "DvsFilterConfig",
    "DvsLayerConfig",
    "DvsLayerDestination",
    "FactoryConfig",
    "IOShape",
    "ReadoutConfig",
    "SpeckConfiguration",
    "Vec2Bool",
    "Vec2UnsignedChar",
]

SAMNA = "samna 0.48.5's reference, speck2f.configuration"
SAMNA_2E = "samna 0.48.5's reference, speck2e.configuration"
# in use by vendor's scripts, described nowhere
SCRIPTS = "scripts for samna; defaults assumed"
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


class IOShape(Record, source=SAMNA):
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
    input_shape = Struct(IOShape)
    output_shape = Struct(IOShape)

    def get_weights_array_dimensions(self) -> list[int]:
        """Return the lengths of a core's `weights`: [output, input, x, y]."""
        features, taken = self.output_shape.feature_count, self.input_shape.feature_count
        return [features, taken, self.kernel_size, self.kernel_size]

    def get_biases_array_dimensions(self) -> list[int]:
        """Return the length of a core's `biases`: [feature]."""
        return [self.output_shape.feature_count]

    def get_neuron_states_array_dimensions(self) -> list[int]:
        """Return the lengths of a core's `neurons_initial_value`: [feature, x, y]."""
        shape = self.output_shape
        return [shape.feature_count, shape.size.x, shape.size.y]


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
    threshold_high = Integer("int32")
    threshold_low = Integer("int32", -1)
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
    pass_sensor_events = Flag()
    # whether switching a monitor off stops the sensor's events as well is not said: it does not
    monitor_enable = Flag(raises="pass_sensor_events")
    raw_monitor_enable = Flag(raises="pass_sensor_events")
    on_channel = Flag(default=True)
    off_channel = Flag(default=True)


class Speck2eDvsFilterConfig(Record, source=SAMNA_2E):
    """The noise filter behind the DVS layer."""

    __slots__ = ()
    enable = Flag()
    filter_size = Struct(Vec2UnsignedChar, x=1, y=1)
    hot_pixel_filter_enable = Flag(default=True)
    internal_slow_clk = Flag()
    threshold = Integer("uint32", 5)


class DvsFilterConfig(Speck2eDvsFilterConfig, source=SAMNA):
    """The noise filter behind the DVS layer, with the low-pass mode that Speck2f alone has."""

    __slots__ = ()
    low_pass_mode_enable = Flag(source=f"{SAMNA}; default assumed")


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


class SensorCurrents(Record, source=SCRIPTS):
    """Currents of the sensor."""

    __slots__ = ()
    current_control_p0 = Integer("uint32")
    current_control_p1 = Integer("uint32")
    current_control_p2 = Integer("uint32")
    current_control_p3 = Integer("uint32")
    current_control_p4 = Integer("uint32")
    current_control_p5 = Integer("uint32")
    current_control_p6 = Integer("uint32")
    current_control_p7 = Integer("uint32")
    current_out1 = Integer("uint32")
    current_out2 = Integer("uint32")
    current_out3 = Integer("uint32")
    current_out4 = Integer("uint32")


class FactoryConfig(Record, source=SCRIPTS):
    """Settings that users leave alone, except the clock divider and the output pins."""

    __slots__ = ()
    io_sel = Integer("uint32")
    internal_slow_clk_divider = Integer("uint8", 17, within=range(14, 18), source=SAMNA)
    fast_output = Flag()
    monitor_dual_channel = Flag(source=SAMNA)
    cnn_layers = Array(CnnLayerTiming, len(SPECK.cores))
    dvs_layer = Struct(SensorCurrents)


class DebugConfig(Record, source=SAMNA):
    """Settings for debugging, of which no source names one."""

    __slots__ = ()


class SpeckConfiguration(Record, source=SAMNA):
    """Everything that is written to the chip."""

    __slots__ = ()
    cnn_layers = Array(CnnLayerConfig, len(SPECK.cores))
    dvs_layer = Struct(DvsLayerConfig)
    dvs_filter = Struct(DvsFilterConfig)
    readout = Struct(ReadoutConfig)
    factory_config = Struct(FactoryConfig)
    debug_config = Struct(DebugConfig)


class Speck2eDvsLayerConfig(DvsLayerConfig, source=SAMNA_2E):
    """The pre-processing of sensor events, mirrored by default."""

    __slots__ = ()
    mirror = Struct(Vec2Bool, x=True)
    mirror_diagonal = Flag(default=True)


class Speck2eConfiguration(SpeckConfiguration, source=SAMNA_2E):
    """Everything that is written to a Speck2e."""

    __slots__ = ()
    dvs_layer = Struct(Speck2eDvsLayerConfig)
    dvs_filter = Struct(Speck2eDvsFilterConfig)


CONFIGURATION_CLASSES: tuple[type[Record], ...] = (
    CnnLayerConfig,
    CnnLayerDestination,
    CnnLayerDimensions,
    DebugConfig,
    DvsFilterConfig,
    DvsLayerConfig,
    DvsLayerDestination,
    FactoryConfig,
    IOShape,
    ReadoutConfig,
    SpeckConfiguration,
)

# Where Speck2e has a class of its own, by samna's names.
SPECK2E_CLASSES: dict[str, type[Record]] = {
    "SpeckConfiguration": Speck2eConfiguration,
    "DvsLayerConfig": Speck2eDvsLayerConfig,
    "DvsFilterConfig": Speck2eDvsFilterConfig,
}
SPECK2F_CLASSES: dict[str, type[Record]] = {kind.__name__: kind for kind in CONFIGURATION_CLASSES}
# For each chip, its classes by samna's names, which are the same for both.
CHIP_CONFIGURATIONS: dict[str, dict[str, type[Record]]] = {
    SPECK2F.name: SPECK2F_CLASSES,
    SPECK2E.name: SPECK2F_CLASSES | SPECK2E_CLASSES,
}
