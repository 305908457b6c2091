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


@pytest.mark.parametrize("readable", [True, False])
def test_usb_devices_without_write_permission_are_reported(monkeypatch, tmp_path, readable):
    folder = tmp_path / "001"
    folder.mkdir()
    (folder / "002").write_bytes(b"")
    monkeypatch.setattr(doctor, "USB_FOLDER", tmp_path)
    monkeypatch.setattr(doctor.os, "access", lambda *_: readable)
    found = finding(diagnose("speck2e"), "USB")
    assert found.state == ("ok" if readable else "note")
    assert f"{int(readable)} of 1 devices" in found.found


def test_a_udev_rule_is_found_by_the_vendors_name(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "RULE_FOLDERS", (tmp_path, tmp_path / "none"))
    assert finding(diagnose(), "udev rule").state == "note"
    (tmp_path / "60-other.rules").write_text("# another vendor")
    (tmp_path / "70-board.rules").write_text("# SynSense devkits")
    assert finding(diagnose(), "udev rule").found == str(tmp_path / "70-board.rules")


def test_an_unknown_board_is_refused():
    with pytest.raises(BoardNotFoundError, match="'loihi' is not known"):
        diagnose("loihi")
    assert CliRunner().invoke(main, ["doctor", "--board", "loihi"]).exit_code == 3


def test_findings_are_printed_as_json_on_demand():
    result = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)
    assert result["ok"] is True
    assert {"Python", "torch", "sinabs", "samna"} <= {f["subject"] for f in result["findings"]}


def test_boards_lists_the_software_boards_and_says_why_no_chip_is_listed():
    result = CliRunner().invoke(main, ["boards"])
    assert result.exit_code == 0
    assert "no chip is attached: the vendor's samna" in result.output
    listed = json.loads(CliRunner().invoke(main, ["boards", "--json"]).output)
    assert listed["attached"] == []
    assert [board["name"] for board in listed["software"]][:2] == ["twin", "virtual:speck2e"]
