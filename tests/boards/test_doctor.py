"""`doctor` and `boards` say what the machine has and what is missing."""

import json
from importlib import metadata

import pytest
from click.testing import CliRunner

from speckflex.boards import doctor
from speckflex.boards.doctor import diagnose
from speckflex.cli import main
from speckflex.errors import BoardNotFoundError
from speckflex.samna_access import InstalledSamna


def finding(findings, subject):
    """Return the finding about a subject."""
    return next(item for item in findings if item.subject == subject)


def test_this_machine_has_all_that_the_twin_needs():
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "board twin: all that it needs is here" in result.output


@pytest.mark.parametrize("kind", ["missing", "stub"])
def test_without_samna_chips_are_blocked_and_the_twin_is_not(monkeypatch, kind):
    monkeypatch.setattr(doctor, "find_samna", lambda: InstalledSamna(kind, "0.48.6"))
    assert finding(diagnose("speck2e"), "samna").blocks
    assert "SynSense" in finding(diagnose("speck2e:0"), "samna").remedy
    assert finding(diagnose("twin"), "samna").state == "note"
    assert CliRunner().invoke(main, ["doctor", "--board", "speck2f"]).exit_code == 1


def test_a_package_outside_its_tested_range_is_reported_with_the_remedy(monkeypatch):
    real = metadata.version

    def version(name):
        return "0.1" if name == "sinabs" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = finding(diagnose(), "sinabs")
    assert found.blocks
    assert found.found.startswith("0.1, tested with")
    assert found.remedy.startswith('pip install "sinabs')


def test_a_package_that_is_not_installed_is_reported(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = finding(diagnose(), "numba")
    assert found.blocks
    assert found.found == "not installed"


def test_an_old_python_is_reported(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 8, 1, "final", 0))
    assert finding(diagnose(), "Python").blocks


@pytest.fixture
def plug(monkeypatch, tmp_path):
    """A function that makes a tree of USB devices like Linux's, of the one that is given."""

    def make(number, *, writable=True):
        vendor, product = number.split(":")
        values = {"idVendor": vendor, "idProduct": product, "busnum": "2", "devnum": "9"}
        folder = tmp_path / "sys" / "2-1"
        folder.mkdir(parents=True)
        (folder.parent / "2-1:1.0").mkdir()
        for name, value in values.items():
            (folder / name).write_text(f"{value}\n")
        monkeypatch.setattr(doctor, "SYS_FOLDER", folder.parent)
        monkeypatch.setattr(doctor, "USB_FOLDER", tmp_path / "bus")
        monkeypatch.setattr(doctor.os, "access", lambda *_: writable)
        return str(tmp_path / "bus" / "002" / "009")

    return make


@pytest.mark.parametrize(
    ("number", "device"),
    [
        ("04b4:5bc7", "Speck2eTestBoard"),
        ("337d:5bc8", "Speck2eDevKit"),
        ("337d:5bc9", "Speck2fModuleDevKit"),
        ("337D:5BCA", "Speck2fDevKit"),
    ],
)
def test_a_devkit_is_known_by_its_usb_number(plug, number, device):
    plug(number)
    found = finding(diagnose("speck2e"), "USB")
    assert (found.state, found.found) == ("ok", device)


def test_a_devkit_that_this_user_may_not_write_to_blocks(plug):
    node = plug("337d:5bca", writable=False)
    found = finding(diagnose("speck2f"), "USB")
    assert found.blocks
    assert node in found.found
    assert "install-synsense-rules" in found.remedy
    assert not finding(diagnose("twin"), "USB").blocks


def test_a_devkit_on_a_slow_port_is_told_from_none(plug):
    plug("04b4:00f1")
    assert "USB 3" in finding(diagnose("speck2f"), "USB").remedy


def test_other_devices_are_no_devkits(plug):
    plug("1d6b:0003")
    found = finding(diagnose("speck2f"), "USB")
    assert found.blocks
    assert found.found == "no Speck devkit is plugged in"


@pytest.mark.parametrize(
    ("version", "state", "words"),
    [
        ("0.39.7", "missing", "older than 0.39.8"),
        ("0.45.2", "note", "0.47.1 resets the FPGA when it closes"),
        ("0.48.5", "ok", "0.48.5"),
        ("", "ok", "of unknown version"),
    ],
)
def test_the_version_of_samna_is_judged(monkeypatch, version, state, words):
    monkeypatch.setattr(doctor, "find_samna", lambda: InstalledSamna("real", version))
    monkeypatch.setattr(
        doctor, "_device", lambda *_args, **_options: doctor.Finding("chip", "ok", "")
    )
    found = finding(diagnose("speck2e"), "samna")
    assert found.state == state
    assert words in found.found


def test_a_udev_rule_is_found_by_the_vendors_name(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "RULE_FOLDERS", (tmp_path, tmp_path / "none"))
    assert finding(diagnose(), "udev rule").state == "note"
    (tmp_path / "60-other.rules").write_text("# another vendor")
    (tmp_path / "70-board.rules").write_text('ATTRS{idVendor}=="337d", MODE="0666"')
    assert finding(diagnose(), "udev rule").found == str(tmp_path / "70-board.rules")


def test_an_unknown_board_is_refused():
    with pytest.raises(BoardNotFoundError, match="'loihi' is not known"):
        diagnose("loihi")
    assert CliRunner().invoke(main, ["doctor", "--board", "loihi"]).exit_code == 3


def test_findings_are_printed_as_json_on_demand():
    result = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert result["ok"] is True
    assert {"Python", "torch", "sinabs", "samna"} <= {f["subject"] for f in result["findings"]}


def test_boards_lists_the_software_boards_and_says_why_no_chip_is_listed():
    result = CliRunner().invoke(main, ["boards"])
    assert result.exit_code == 0
    assert "no chip is attached: the vendor's samna" in result.output
    listed = json.loads(CliRunner().invoke(main, ["boards", "--json"]).stdout)
    assert listed["attached"] == []
    assert [board["name"] for board in listed["software"]][:2] == ["twin", "virtual:speck2e"]
