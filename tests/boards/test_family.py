"""Families of boards: this package's, and a networked one that another package adds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network
from plugins import forget_packages, install_package
from virtual_boards import single_core

import speckflex as sf
from speckflex.boards import family as families
from speckflex.boards.choosing import chip_for, choose_board
from speckflex.boards.doctor import diagnose
from speckflex.boards.family import BoardName, find_families, find_family
from speckflex.cli import main
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.events.streams import make_events
from speckflex.networks.files import save_network

DATA = ("--data", "synthetic-digits", "--samples", "2")
# A board behind a network: here a twin answers in its place, and spikes come in one by one.
FARM = """
from dataclasses import replace
from speckflex.boards.family import BoardFamily
from speckflex.errors import BoardNotFoundError

class FarmBoard:
    kind = "farm"

    def __init__(self, address, timeout, slow_clock):
        from speckflex.boards import open_board
        self.name = f"farm:{address}"
        self.timeout = timeout
        self.plays = 0
        self._twin = open_board("twin", threads=1, slow_clock=slow_clock)

    def load(self, program):
        self._twin.load(program)

    def play(self, events, *, monitor=None, keep_events=True, reset=True):
        self.plays += 1
        recording = self._twin.play(
            events, monitor=monitor, keep_events=keep_events, reset=reset
        )
        return replace(
            recording, provenance=replace(recording.provenance, board=self.name, kind=self.kind)
        )

    def close(self):
        self._twin.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

def open_farm(address, *, timeout=5.0, slow_clock=None):
    if not address:
        raise BoardNotFoundError("board farm: no host is named: write farm:HOST")
    return FarmBoard(address, timeout, slow_clock)

FARM = BoardFamily(
    name="farm",
    kind="farm",
    label="a Speck2f behind a server",
    called="the farm's board",
    open=open_farm,
    settings=("timeout", "slow_clock"),
    chip_at=lambda address: "speck2f",
    one_by_one=True,
)
NO_FAMILY = FarmBoard
"""


@pytest.fixture
def farm(tmp_path, monkeypatch):
    """The family of a board that another package adds; its folder is on the path."""
    entries = {"farm": "speck_farm:FARM", "barn": "speck_farm:NO_FAMILY"}
    install_package(tmp_path / "site", "speck_farm", FARM, {"speckflex.boards": entries})
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget_packages()
    yield find_family("farm")
    forget_packages()
    sys.modules.pop("speck_farm", None)


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.pt"
    save_network(small_network(), path)
    return path


def pulses(times):
    """Return events at the only pixel of `single_core`."""
    return make_events(np.array(times), *(np.zeros(len(times), int) for _ in range(3)))


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("name", "family", "address"),
    [
        ("twin", "twin", ""),
        ("twin:cuda", "twin", "cuda"),
        ("speck2e:0", "speck2e", "0"),
        ("replay:C:/runs/speck2f.h5", "replay", "C:/runs/speck2f.h5"),
    ],
)
def test_a_name_is_a_family_and_an_address(name, family, address):
    parsed = BoardName.parse(name)
    assert parsed == BoardName(family, address)
    assert str(parsed) == name


def test_an_unknown_board_is_refused_with_the_known_families():
    known = "replay, speck2e, speck2f, twin, virtual"
    with pytest.raises(BoardNotFoundError, match=rf"'loihi:1' is not known: begin .* of .*{known}"):
        sf.open_board("loihi:1")


def test_a_family_can_be_asked_without_its_board_or_any_array_library():
    code = (
        "import sys\n"
        "from speckflex.boards.family import find_family\n"
        "for name in ('twin', 'replay', 'speck2e', 'speck2f', 'virtual'): find_family(name)\n"
        "print([m for m in ('numpy', 'numba', 'h5py', 'torch') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


def test_every_setting_of_a_family_is_an_argument_of_its_opener():
    with sf.open_board("twin", threads=1, settings=None, slow_clock=100.0, device="cpu") as board:
        assert board.kind == "twin"
    settings = find_family("virtual").settings
    assert {"speed", "faults", "twin", "silence", "slow_clock"} <= set(settings)


def test_metadata_that_lists_no_boards_is_named_with_the_remedy(monkeypatch):
    forget_packages()
    monkeypatch.setattr(families, "entry_names", lambda _group: [])
    monkeypatch.setattr(families, "GROUP", "speckflex.of_an_older_version")
    with pytest.raises(
        BoardError, match=r"metadata of speckflex lists no boards.*pip install -e \."
    ):
        sf.open_board("twin")
    forget_packages()


def test_the_twins_slow_clock_is_set_once(rng):
    settings = sf.TwinSettings(slow_clock_period=100)
    with pytest.raises(BoardError, match="set twice"):
        sf.open_board("twin", settings=settings, slow_clock=10.0)


@pytest.mark.parametrize(
    ("board", "chip"),
    [
        ("twin", "speck2e"),
        ("twin:cuda", "speck2e"),
        ("speck2e", "speck2e"),
        ("speck2f:123", "speck2f"),
        ("virtual:speck2f", "speck2f"),
        ("virtual:Speck2fModuleDevKit", "speck2f"),
        ("virtual:Speck2eTestBoard", "speck2e"),
    ],
)
def test_the_chip_of_a_deployment_comes_from_the_boards_family(board, chip):
    assert chip_for(board) == chip


@pytest.mark.parametrize("board", ["virtual:speck9", "replay:speck2f_lab/absent.h5"])
def test_a_board_that_does_not_exist_has_no_chip(board):
    with pytest.raises(BoardNotFoundError):
        chip_for(board)


def test_a_folders_name_does_not_choose_the_chip_of_a_replay(model_file, tmp_path):
    board = tmp_path / "speck2f_lab" / "run.h5"
    first = run("deploy", model_file, *DATA, "--board", "twin", "--out", tmp_path / "out")
    assert first.exit_code == 0, first.output
    board.parent.mkdir()
    (tmp_path / "out" / "recording-twin.h5").rename(board)
    again = run("deploy", model_file, *DATA, "--board", f"replay:{board}", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["program"]["chip"] == "speck2e"


def test_a_replay_converts_for_the_chip_that_was_recorded(model_file, tmp_path):
    data = (*DATA, "--out", tmp_path / "out")
    assert run("deploy", model_file, *data, "--board", "virtual:speck2f").exit_code == 0
    board = f"replay:{tmp_path / 'out' / 'recording-chip.h5'}"
    again = run("deploy", model_file, *DATA, "--board", board, "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["program"]["chip"] == "speck2f"


def test_the_twin_records_the_chip_of_its_program(rng):
    with sf.open_board("twin") as board:
        board.load(single_core())
        assert board.play(pulses([1])).provenance.settings["chip"] == single_core().chip


def test_a_board_of_another_package_is_opened_by_its_name(farm):
    with sf.open_board("farm:rack1", timeout=2.0) as board:
        board.load(single_core())
        recording = board.play(pulses([10, 20]))
    assert (board.name, board.timeout) == ("farm:rack1", 2.0)
    assert recording.counts().sum() == 2


def test_a_board_of_another_package_has_its_own_settings(farm):
    with pytest.raises(BoardError, match=r"threads is no setting of .*: choose from timeout, slow"):
        sf.open_board("farm:rack1", threads=1)


def test_an_entry_point_that_names_no_family_is_named(farm):
    with pytest.raises(
        BoardError, match="speck_farm:NO_FAMILY, which is no BoardFamily of the name"
    ):
        sf.open_board("barn")


def test_a_board_of_another_package_is_listed_and_a_broken_one_is_warned_of(farm, caplog):
    listed = json.loads(run("boards", "--json").stdout)
    assert "speck_farm:NO_FAMILY" in caplog.text
    assert {"name": "farm", "what": "a Speck2f behind a server"} in listed["software"]
    facts = next(row for row in listed["families"] if row["family"] == "farm")
    assert facts["settings"] == ["timeout", "slow_clock"]
    with pytest.raises(BoardNotFoundError, match="begin its name with one of barn, farm, replay"):
        sf.open_board("loihi")


def test_doctor_asks_no_samna_of_a_board_of_another_package(farm):
    samna = next(item for item in diagnose("farm:rack1") if item.subject == "samna")
    assert samna.state == "note"


def test_a_board_of_another_package_takes_what_it_has_of_the_commands_settings(farm):
    chosen = choose_board("farm:rack1", slow_clock=50.0, threads=3)
    with chosen.board:
        assert chosen.family is farm
        assert not chosen.note
    with pytest.raises(BoardNotFoundError, match=r"is no chip, .*: name speck2e or speck2f"):
        choose_board("farm:rack1", require_chip=True)


def test_deploy_plays_on_a_board_of_another_package(farm, model_file, tmp_path):
    out = tmp_path / "out"
    result = run("deploy", model_file, *DATA, "--board", "farm:rack1", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "board: farm:rack1"
    report = json.loads((out / "report.json").read_text())
    assert report["program"]["chip"] == "speck2f"
    assert report["board"] == "farm:rack1"
    # it plays one by one, and twice, since its family does not say that it repeats itself
    assert {path.name for path in out.glob("*.h5")} == {
        f"recording-{role}.h5" for role in ("torch", "eight-bit", "twin", "chip", "repeat")
    }
    played, twin = (sf.Recording.load(out / f"recording-{role}.h5") for role in ("chip", "twin"))
    assert np.array_equal(played.counts(-1), twin.counts(-1))
    assert "the farm's board" in (out / "report.md").read_text(encoding="utf-8").lower()
    assert "the chip is right" not in (out / "report.md").read_text(encoding="utf-8")


def test_the_pytest_plugin_knows_a_board_of_another_package(farm, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.needs_devkit('reads neurons')\n"
        "def test_devkit(): pass\n"
        "def test_board(board): assert board.name == 'farm:rack1'\n"
    )
    command = [sys.executable, "-m", "pytest", "-rs", "--board", "farm:rack1", str(tmp_path)]
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(  # noqa: S603
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert "speckflex board: farm:rack1 (a Speck2f behind a server)" in done.stdout
    assert "board farm:rack1 is not enough: reads neurons" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_all_families_say_what_they_are():
    for family in find_families():
        assert family.label
        assert family.called
