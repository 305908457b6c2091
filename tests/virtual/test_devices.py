"""Attached and open devices, and the installation of the stand-in in a process."""

import subprocess
import sys

import pytest

from speckflex import virtual
from speckflex.errors import BoardError, BoardNotFoundError

SAMNA = virtual.stand_in()
DEVICE = SAMNA.device


@pytest.fixture
def infos():
    """Two devkits of one type and one of another; no others are attached."""
    virtual.install(["Speck2eDevKit", "Speck2eDevKit", "Speck2fModuleDevKit"])
    yield DEVICE.get_all_devices()
    virtual.install()


def test_devices_are_listed_with_distinct_addresses(infos):
    assert [info.device_type_name for info in infos] == [
        "Speck2eDevKit",
        "Speck2eDevKit",
        "Speck2fModuleDevKit",
    ]
    assert len({info.usb_device_address for info in infos}) == 3
    assert repr(infos[0]).startswith("device::DeviceInfo(serial_number=virtual")


def test_opening_moves_a_device_from_one_list_to_the_other(infos):
    handle = DEVICE.open_device(infos[1])
    assert DEVICE.get_opened_devices() == [infos[1]]
    assert DEVICE.get_unopened_devices() == [infos[0], infos[2]]
    DEVICE.close_device(handle)
    DEVICE.close_device(handle)
    assert DEVICE.get_opened_devices() == []


def test_an_info_or_index_opens_the_same_handle_and_a_name_the_next_free_one(infos):
    first = DEVICE.open_device("Speck2eDevKit")
    assert DEVICE.open_device(infos[0]) is first
    assert DEVICE.open_device("Speck2eDevKit:0") is first
    second = DEVICE.open_device("Speck2eDevKit")
    assert second is DEVICE.open_device(infos[1])
    with pytest.raises(RuntimeError, match="not attached"):
        DEVICE.open_device("Speck2eDevKit")


@pytest.mark.parametrize("name", ["Speck2fDevKit", "Speck2eDevKit:2", "Speck2eDevKit:x"])
def test_a_device_that_is_not_attached_is_refused(infos, name):
    with pytest.raises(RuntimeError, match=f"device {name} is not attached"):
        DEVICE.open_device(name)


def test_a_number_is_refused_as_a_device(infos):
    with pytest.raises(TypeError, match="give a DeviceInfo or a name"):
        DEVICE.open_device(0)


def test_a_node_s_class_name_tells_the_chip(infos):
    handle = DEVICE.open_device(infos[2])
    name = type(handle.get_model_source_node()).__name__
    # sinabs' visualizer finds the module of the events this way
    assert getattr(SAMNA, name.split("_")[1]) is SAMNA.speck2f


def test_unknown_types_and_speeds_are_refused():
    with pytest.raises(BoardNotFoundError, match="choose one of Speck2eTestBoard"):
        virtual.attach("Speck3")
    with pytest.raises(BoardError, match="positive factor"):
        virtual.attach("Speck2eDevKit", speed=0)


def test_a_devkit_opens_with_the_boards_default_configuration(infos):
    handle = DEVICE.open_device(infos[2], SAMNA.speck2fBoards.DevKitDefaultConfig())
    handle.get_power_module().set_vdd_io(3.3)
    handle.get_io_module().set_dual_channel_output_enable(True)
    with pytest.raises(RuntimeError, match="slow clock rate 0 Hz"):
        handle.get_io_module().set_slow_clk_rate(0)


def test_a_flash_image_is_refused():
    with pytest.raises(RuntimeError, match="no source says what stands where"):
        SAMNA.speck2f.configuration_to_flash_binary(
            SAMNA.speck2f.configuration.SpeckConfiguration()
        )


def test_registering_the_name_does_not_close_devices(infos):
    handle = DEVICE.open_device(infos[0])
    assert virtual.register() is SAMNA
    assert DEVICE.get_opened_devices() == [infos[0]]
    handle.get_model()


def run_fresh(code):
    """Run code in a new interpreter."""
    return subprocess.run(  # noqa: S603 - our own Python and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


def test_installing_makes_samna_importable_with_all_its_modules():
    done = run_fresh(
        "import speckflex.virtual as v; v.install(['Speck2fDevKit'])\n"
        "import samna, samnagui, importlib.util\n"
        "import samna.specksim.nodes\n"
        "from samna.speck2f.configuration import SpeckConfiguration\n"
        "assert importlib.util.find_spec('samna').name == 'samna'\n"
        "assert v.is_stand_in(samna)\n"
        "import sys; assert not {'torch', 'numba'} & set(sys.modules)\n"
        "print(len(samna.device.get_all_devices()))"
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_stand_in_refuses_the_name_of_a_samna_that_is_loaded():
    done = run_fresh(
        "import sys, types; sys.modules['samna'] = types.ModuleType('samna')\n"
        "import speckflex.virtual as v\n"
        "try: v.install()\n"
        "except v.BoardError as error: print(error)"
    )
    assert "samna is imported already" in done.stdout


def test_a_script_that_forgets_to_close_still_ends():
    done = run_fresh(
        "import speckflex.virtual as v; s = v.install(['Speck2eDevKit'])\n"
        "h = s.device.open_device('Speck2eDevKit')\n"
        "h.get_power_monitor().start_auto_power_measurement(50)\n"
        "print('end')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
