"""Every limit of the chip is checked; each message names the core, the value and the limit."""

import numpy as np
import pytest
from virtual_boards import configuration_of, single_core, square_chain

from speckflex import virtual

SAMNA = virtual.stand_in()
SpeckConfiguration = SAMNA.speck2e.configuration.SpeckConfiguration


def validate(configuration, chip="speck2e"):
    """Return what samna's function says of a configuration."""
    return getattr(SAMNA, chip).validate_configuration(configuration)


def layer_of_size(size, *, features=1, kernel=1, core=0):
    """Return a configuration whose one core has a map of that size."""
    configuration = SpeckConfiguration()
    layer = configuration.cnn_layers[core]
    shape = {"size": {"x": size, "y": size}, "feature_count": features}
    layer.dimensions = {
        "kernel_size": kernel,
        "padding": {"x": kernel // 2, "y": kernel // 2},
        "input_shape": shape,
        "output_shape": shape,
    }
    layer.weights = np.zeros((features, features, kernel, kernel), int).tolist()
    layer.threshold_high = 1
    return configuration


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_are_valid(seed):
    program = square_chain(np.random.default_rng(seed), n_cores=4)
    assert validate(configuration_of(program)) == (True, "")


def test_a_fresh_configuration_is_valid():
    assert validate(SpeckConfiguration()) == (True, "")


def test_an_enabled_dvs_destination_must_fit_its_target():
    configuration = SpeckConfiguration()
    configuration.dvs_layer.destinations[0].enable = True
    valid, message = validate(configuration)
    assert not valid
    assert "input and target shape do not match: (2, 128, 128)" in message
    assert "core 0, which takes (1, 1, 1)" in message


def change(**values):
    """Return a function that sets fields of core 0, also nested ones."""

    def apply(configuration):
        layer = configuration.cnn_layers[0]
        for name, value in values.items():
            setattr(layer, name, value)

    return apply


BROKEN = {
    "stride x 3 is not one of 1, 2, 4, 8": change(dimensions={"stride": {"x": 3, "y": 1}}),
    "padding y 8 is more than 7": change(dimensions={"padding": {"y": 8}}),
    "kernel size 17 is not in 1..16": change(dimensions={"kernel_size": 17}),
    "kernel size 0": change(dimensions={"kernel_size": 0}),
    "weights range 200..200 is not in -128..127": change(weights=[[[[200]]]]),
    "weights have shape (1, 2, 1, 1)": change(weights=[[[[1]], [[1]]]]),
    "biases have shape (2,)": change(biases=[1, 2]),
    "biases range 40000..40000 is not in": change(biases=[40000]),
    "neurons_initial_value have shape (1, 1, 2)": change(neurons_initial_value=[[[1, 2]]]),
    "threshold_high 40000 is not in 0..32767": change(threshold_high=40000),
    # 0 does not work on silicon, and samna refuses it since 0.33.2
    "threshold_low 0 is not in -32768..-1": change(threshold_low=0),
    "a dimension is 0": change(dimensions={"input_shape": {"feature_count": 0}}),
    "pooling 3 is not one of 1, 2, 4": change(
        destinations=[{"enable": True, "layer": 1, "pooling": 3}, {}]
    ),
    "destination 9 is not a core": change(destinations=[{"enable": True, "layer": 9}, {}]),
    "(3, 1, 1) (feature, y, x) is sent to core 1": change(
        destinations=[{"enable": True, "layer": 1, "feature_shift": 2}, {}]
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_configuration_beyond_a_limit_is_refused_with_the_limit(message):
    configuration = configuration_of(single_core())
    BROKEN[message](configuration)
    valid, found = validate(configuration)
    assert not valid
    assert message in found
    assert "core 0" in found


def test_maps_and_features_beyond_the_limits_are_refused():
    assert "larger than 64 a side" in validate(layer_of_size(65))[1]
    assert "larger than 128 a side" in validate(layer_of_size(129))[1]
    configuration = configuration_of(single_core())
    configuration.cnn_layers[0].dimensions.output_shape.feature_count = 1025
    assert "1025 features are more than 1024" in validate(configuration)[1]


@pytest.mark.parametrize(("core", "fits"), [(0, True), (3, False), (5, False), (7, False)])
def test_neuron_memory_is_counted_per_core(core, fits):
    # 16 * 64 * 64 = 64 Ki words, which cores 0 to 2 alone hold (datasheet table 1)
    valid, message = validate(layer_of_size(64, features=16, core=core))
    assert valid is fits
    assert fits or "65536 neuron words are needed" in message


@pytest.mark.parametrize(("core", "fits"), [(0, False), (3, True), (5, True), (8, False)])
def test_kernel_memory_is_counted_per_core(core, fits):
    # 32 * 2^(ceil(log2 9) + 5) = 16 Ki words for 3x3 kernels; 64 features need twice squared
    valid, message = validate(layer_of_size(1, features=32, kernel=5, core=core))
    assert valid is fits
    assert fits or "32768 kernel words are needed" in message


def test_the_region_of_the_sensor_must_not_be_empty():
    configuration = SpeckConfiguration()
    configuration.dvs_layer.origin.x = 9
    configuration.dvs_layer.cut.x = 8
    assert "origin x 9 and cut x 8 leave no region" in validate(configuration)[1]
    configuration.dvs_layer.pooling.y = 3
    assert "dvs layer: pooling y 3" in validate(configuration)[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0}, "dvs filter: threshold 0 is not in 1..65535"),
        ({"threshold": 2**16}, "dvs filter: threshold 65536 is not in 1..65535"),
        ({"filter_size": {"x": 8, "y": 1}}, "dvs filter: filter_size (8, 1) is more than 7"),
        ({"low_pass_mode_enable": True}, "exclude each other"),
        (
            {"low_pass_mode_enable": True, "hot_pixel_filter_enable": False},
            "filter_size is (1, 1), and low pass mode needs (0, 0)",
        ),
    ],
)
def test_an_enabled_filter_must_keep_the_data_sheets_rules(values, message):
    configuration = SAMNA.speck2f.configuration.SpeckConfiguration()
    for name, value in values.items():
        setattr(configuration.dvs_filter, name, value)
    assert validate(configuration, "speck2f") == (True, "")
    configuration.dvs_filter.enable = True
    assert message in validate(configuration, "speck2f")[1]


def test_a_filter_of_seven_pixels_and_many_ticks_is_valid():
    configuration = SpeckConfiguration()
    configuration.dvs_filter.enable, configuration.dvs_filter.threshold = True, 300
    configuration.dvs_filter.filter_size = {"x": 7, "y": 0}
    assert validate(configuration) == (True, "")


def test_cores_may_feed_each_other_and_themselves():
    configuration = configuration_of(single_core())
    configuration.cnn_layers[3].assign(configuration.cnn_layers[0])
    destinations = {0: (0, 3), 3: (0,)}
    for core, targets in destinations.items():
        for place, target in zip(
            configuration.cnn_layers[core].destinations, targets, strict=False
        ):
            place.enable, place.layer = True, target
    assert validate(configuration) == (True, "")


def test_the_dvs_layer_may_send_to_the_readout():
    configuration = SpeckConfiguration()
    configuration.dvs_layer.destinations[1].enable = True
    configuration.dvs_layer.destinations[1].layer = 12
    assert validate(configuration) == (True, "")


def test_a_chip_takes_its_own_configuration_alone():
    with pytest.raises(TypeError, match=r"validate_configuration\(\): incompatible function"):
        validate(SpeckConfiguration(), "speck2f")
    with pytest.raises(TypeError, match="SpeckConfiguration"):
        validate({})
