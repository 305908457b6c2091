"""A board writes the same configuration as sinabs for the same network."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from networks_of_tests import neuron, small_network
from sinabs.activation import MembraneReset
from torch import nn
from virtual_boards import single_core, square_chain

from speckflex import virtual
from speckflex.boards.chip._configuration import choose_input_path, write_configuration
from speckflex.boards.chip.settings import ChipSettings
from speckflex.chips.speck import SPECK2E
from speckflex.conversion.convert import convert
from speckflex.conversion.options import ConversionOptions
from speckflex.errors import BoardError
from speckflex.program.event_filter import EventFilter
from speckflex.program.records import Destination, InputStage
from speckflex.samna_access import load_samna
from speckflex.virtual._decode import decode_configuration

load_samna()
from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402  needs samna's name to exist

SHAPE = (2, 16, 16)


def chain_network(seed=0, **options):
    """Return conv, pool, conv, pool, dense, with different settings in each layer."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=options.get("stride", 1), bias=False),
        neuron(),
        sl.SumPool2d(2),
        nn.Conv2d(4, 3, 3, padding=1, bias=options.get("bias", False)),
        neuron(min_v_mem=-2.0, reset_fn=options.get("reset", neuron().reset_fn)),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(options.get("features", 48), 5, bias=False),
        neuron(),
    )


class Branching(nn.Module):
    """A first layer with two destinations, one of which is pooled twice as much."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.head = nn.Conv2d(4, 3, 3, bias=False)
        self.spikes = nn.ModuleList([neuron() for _ in range(3)])
        # sinabs' backend (3.1.3) fails if one destination is pooled and the other is not
        self.pools = nn.ModuleList([sl.SumPool2d(size) for size in (2, 2, 1)])
        self.merge = sl.Merge()

    def forward(self, events):
        first = self.spikes[0](self.first(events))
        second = self.spikes[1](self.second(self.pools[2](first)))
        merged = self.merge(self.pools[0](first), self.pools[1](second))
        return self.spikes[2](self.head(merged))


def with_states():
    """Return a network whose neurons have potentials other than zero."""
    network = chain_network(seed=3)
    torch.manual_seed(5)
    with torch.no_grad():
        network(torch.rand(1, *SHAPE))
    return network


NETWORKS = {
    "three layers": (chain_network, SHAPE),
    "strides": (lambda: chain_network(stride=2, features=12), SHAPE),
    "biases": (lambda: chain_network(bias=True), SHAPE),
    "reset to zero": (
        lambda: chain_network(reset=MembraneReset()),
        SHAPE,
    ),
    "initial states": (with_states, SHAPE),
    "two destinations": (Branching, SHAPE),
    "average pooling": (small_network, (2, 34, 34)),
}


def sinabs_configuration(network, shape, cores):
    """Return the configuration of sinabs' own backend, with layers on the given cores."""
    backend = DynapcnnNetwork(network, shape, batch_size=1)
    indices = sorted(backend.dynapcnn_layers)
    return backend.make_config(
        layer2core_map=dict(zip(indices, cores, strict=True)),
        device="speck2edevkit:0",
        monitor_layers="all",
    )


def our_configuration(program, *, path=None, settings=None):
    """Return the configuration that a board writes, with every layer monitored."""
    return write_configuration(
        getattr(virtual.stand_in(), "speck2f" if program.chip == "speck2f" else "speck2e"),
        program,
        range(len(program.cores)),
        path=path or choose_input_path(program),
        settings=settings or ChipSettings(),
    )


@pytest.mark.filterwarnings("ignore:Layer .* has pooling and is being monitored:UserWarning")
@pytest.mark.parametrize(("make", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_every_field_equals_what_sinabs_writes(make, shape):
    program = convert(make(), shape, options=ConversionOptions(allow_bias=True, keep_state=True))
    expected = sinabs_configuration(make(), shape, [core.chip_core for core in program.cores])
    found = our_configuration(program)
    assert_equal_fields(found.to_plain(), expected.to_plain())


@pytest.mark.filterwarnings("ignore:Layer .* has pooling and is being monitored:UserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"pool": (2, 2), "flip_x": True, "swap_xy": True},
        {"crop": ((0, 8), (4, 12)), "merge_polarities": True},
    ],
    ids=["pooled and mirrored", "cropped and merged"],
)
def test_the_dvs_layer_equals_what_sinabs_writes(options):
    from sinabs.backend.dynapcnn.dvs_layer import DVSLayer

    def make():
        torch.manual_seed(2)
        channels = 1 if options.get("merge_polarities") else 2
        return nn.Sequential(
            DVSLayer(input_shape=(16, 16), **options),
            nn.Conv2d(channels, 4, 3, padding=1, bias=False),
            neuron(),
        )

    program = convert(make(), SHAPE)
    # sinabs counts the polarities after they are merged
    shape = (1 if options.get("merge_polarities") else 2, 16, 16)
    expected = sinabs_configuration(make(), shape, [core.chip_core for core in program.cores])
    found = our_configuration(program)
    assert choose_input_path(program) == "dvs layer"
    assert_equal_fields(found.to_plain(), expected.to_plain())


def assert_equal_fields(found, expected, path="configuration"):
    """Compare field by field, so that a failure names the field."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_equal_fields(found[name], value, f"{path}.{name}")
    elif path.endswith("destinations"):
        # sinabs lists destinations in its graph's order; no source says that the order matters
        assert sorted(found, key=str) == sorted(expected, key=str), path
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_equal_fields(one, other, f"{path}[{index}]")
    else:
        assert found == expected, path


@pytest.mark.parametrize("seed", range(8))
def test_a_configuration_is_decoded_into_its_program(seed):
    program = square_chain(np.random.default_rng(seed), n_cores=3)
    decoded = decode_configuration(our_configuration(program), "speck2e", entry=0)
    renamed = tuple(
        replace(core, name=own.name) for core, own in zip(decoded.cores, program.cores, strict=True)
    )
    assert replace(decoded, cores=renamed).sha256 == program.sha256


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "spikes"),
        ({"mirror_x": True}, "dvs layer"),
        ({"pooling": (2, 4)}, "dvs layer"),
        ({"keep_off": False}, "dvs layer"),
        ({"shape": (3, 12, 12), "mirror_x": True}, "host"),
        ({"pooling": (3, 3)}, "host"),
        ({"shape": (2, 130, 130), "size": (8, 8)}, "host"),
    ],
)
def test_events_enter_by_the_shortest_path_that_can_apply_the_input_stage(values, path):
    program = single_core()
    stage = InputStage(**({"shape": (2, 12, 12)} | values))
    core = program.cores[0]
    weights = np.ones((1, stage.output_shape[0], 1, 1))
    core = replace(core, weights=weights, input_shape=stage.output_shape)
    program = replace(program, cores=(core,), input=stage)
    assert choose_input_path(program) == path
    assert choose_input_path(program, "host") == "host"


FILTER_FIELDS = {
    EventFilter("noise", (2, 3), 4): {
        "filter_size": {"x": 3, "y": 2},
        "threshold": 4,
        "hot_pixel_filter_enable": False,
    },
    # the data sheet's own example has 25 ticks
    EventFilter("noise and hot pixels", (1, 7), 25): {
        "filter_size": {"x": 7, "y": 1},
        "threshold": 25,
        "hot_pixel_filter_enable": True,
    },
    EventFilter("low pass", window=1): {
        "filter_size": {"x": 0, "y": 0},
        "threshold": 1,
        "hot_pixel_filter_enable": False,
        "low_pass_mode_enable": True,
    },
}


def filtering(rule, shape=(2, 12, 12), **changes):
    """Return a program with an event filter and one core."""
    core = single_core().cores[0]
    weights = np.ones((1, shape[0], 1, 1))
    stage = InputStage(shape, event_filter=rule, **changes)
    core = replace(core, weights=weights, input_shape=stage.output_shape)
    return replace(single_core(), cores=(core,), input=stage)


@pytest.mark.parametrize("rule", FILTER_FIELDS, ids=lambda rule: rule.mode)
def test_a_filter_is_written_to_the_fields_that_decode_into_it(rule):
    program = filtering(rule, origin=(0, 1), mirror_x=True)
    assert choose_input_path(program) == "dvs layer"
    program = replace(program, chip="speck2f")
    found = our_configuration(program, settings=ChipSettings(slow_clock=100.0))
    defaults = virtual.stand_in().speck2f.configuration.SpeckConfiguration().dvs_filter.to_plain()
    assert found.dvs_filter.to_plain() == defaults | {"enable": True} | FILTER_FIELDS[rule]
    decoded = decode_configuration(found, "speck2f", entry=SPECK2E.dvs.layer).input
    assert decoded.event_filter == rule
    assert virtual.stand_in().speck2f.validate_configuration(found) == (True, "")


def test_a_program_without_a_filter_does_not_enable_the_chips():
    found = our_configuration(filtering(None))
    assert found.dvs_filter.enable is False


@pytest.mark.parametrize(
    ("program", "wanted", "message"),
    [
        (filtering(EventFilter(), (3, 12, 12)), "auto", "which has 3 channels"),
        (filtering(EventFilter(), pooling=(3, 3)), "auto", r"which pools by \(3, 3\)"),
        (filtering(EventFilter()), "host", "which input_path host bypasses"),
    ],
)
def test_a_filter_that_the_events_would_bypass_is_refused(program, wanted, message):
    with pytest.raises(BoardError, match=f"event filter lies behind .*{message}.*: choose"):
        choose_input_path(program, wanted)


def test_a_filter_without_a_slow_clock_is_refused():
    with pytest.raises(BoardError, match=r"event filter counts ticks .*: set slow_clock"):
        our_configuration(filtering(EventFilter()))


def test_a_filter_needs_a_slow_clock_below_a_kilohertz():
    with pytest.raises(BoardError, match="less than 1000 Hz, and slow_clock is 1000 Hz"):
        our_configuration(filtering(EventFilter()), settings=ChipSettings(slow_clock=1000))


def test_a_low_pass_filter_on_a_speck2e_is_refused():
    with pytest.raises(BoardError, match="'low pass', which this chip has not"):
        our_configuration(filtering(EventFilter("low pass")), settings=ChipSettings(slow_clock=100))


def test_what_the_sensor_sees_stays_out_whatever_the_input_path():
    for program in (single_core(), filtering(EventFilter())):
        found = our_configuration(program, settings=ChipSettings(slow_clock=100))
        assert found.dvs_layer.pass_sensor_events is False


def test_a_filter_on_a_chip_that_has_none_is_refused():
    class Bare:
        """A configuration like samna's, without a filter."""

        def __init__(self):
            whole = virtual.stand_in().speck2e.configuration.SpeckConfiguration()
            self.dvs_layer, self.cnn_layers = whole.dvs_layer, whole.cnn_layers

    module = SimpleNamespace(configuration=SimpleNamespace(SpeckConfiguration=Bare))
    settings = ChipSettings(slow_clock=100.0)
    write_configuration(module, filtering(None), [0], path="dvs layer", settings=settings)
    with pytest.raises(BoardError, match="of this chip has no dvs_filter: convert without it"):
        write_configuration(
            module, filtering(EventFilter()), [0], path="dvs layer", settings=settings
        )


def test_a_dvs_layer_that_cannot_apply_the_input_stage_is_refused_with_the_reason():
    core = replace(single_core().cores[0], weights=np.ones((1, 3, 1, 1)), input_shape=(3, 1, 1))
    program = replace(single_core(), cores=(core,), input=InputStage((3, 1, 1)))
    with pytest.raises(BoardError, match="has 3 channels"):
        choose_input_path(program, "dvs layer")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chip_core": None}, "is on no core of the chip"),
        ({"weights": np.ones((1, 1, 1, 2)), "input_shape": (1, 2, 2)}, "is not square"),
    ],
)
def test_a_core_that_the_chip_cannot_have_is_refused(changes, message):
    program = single_core()
    core = replace(program.cores[0], **changes)
    program = replace(program, cores=(core,), input=InputStage(core.input_shape))
    with pytest.raises(BoardError, match=message):
        our_configuration(program)


def test_three_destinations_are_refused():
    first = replace(single_core().cores[0], destinations=tuple(Destination(i) for i in (1, 2, 3)))
    others = [replace(single_core().cores[0], chip_core=index) for index in (1, 2, 3)]
    with pytest.raises(BoardError, match="sends to 3 layers"):
        our_configuration(replace(single_core(), cores=(first, *others)))


def test_a_program_without_a_chips_limits_is_refused():
    with pytest.raises(BoardError, match="without a chip's limits"):
        our_configuration(replace(single_core(), chip="unbounded"))


def test_the_readout_layer_gets_every_fourth_channel():
    core = replace(single_core().cores[0], weights=np.array([5, 6, 7]).reshape(3, 1, 1, 1))
    program = replace(single_core(), cores=(core,))
    settings = ChipSettings(readout_layer=True, slow_clock=100.0)
    found = our_configuration(program, settings=settings)
    layer = found.cnn_layers[0]
    # samna's reference: 3 is one neuron a class, 0, the default, a map of 2 x 2
    assert found.readout.readout_configuration_sel == 3
    assert np.array(layer.weights).ravel().tolist() == [5, 0, 0, 0, 6, 0, 0, 0, 7]
    assert layer.dimensions.output_shape.feature_count == 9


def test_the_readout_layer_takes_one_neuron_a_class():
    core = replace(single_core(size=2).cores[0])
    program = replace(single_core(size=2), cores=(core,))
    settings = ChipSettings(readout_layer=True, slow_clock=100.0)
    with pytest.raises(BoardError, match=r"map has \(2, 2\) \(y, x\) neurons a class"):
        our_configuration(program, settings=settings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"silence": -1.0}, "silence is -1.0"),
        ({"deadline": 0}, "deadline is 0"),
        ({"deadline": math.nan}, "deadline is nan"),
        ({"verify_neurons": "all"}, "verify_neurons is 'all'"),
        ({"input_path": "usb"}, "choose one of auto"),
        ({"power": 1000.0}, "at most 100"),
        ({"slow_clock": 0.5}, "slow_clock is 0.5 Hz: samna takes whole numbers"),
        ({"slow_clock": math.inf}, "slow_clock is inf"),
        ({"reset": "board"}, "reset is 'board': choose one of auto, configuration, model"),
        ({"readout_layer": True}, "needs the slow clock"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(BoardError, match=message):
        ChipSettings(**values)
