"""Known answers inside a `.speck` file, and boards that are held to them."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network
from virtual_boards import single_core, square_chain

from speckflex.analysis.golden import make_golden, verify_board
from speckflex.boards import open_board
from speckflex.boards.twin import Twin
from speckflex.cli import main
from speckflex.errors import BoardError, EventsError, FileFormatError
from speckflex.events.streams import make_events
from speckflex.networks.files import save_network
from speckflex.program.golden import Golden
from speckflex.program.program import Program
from speckflex.virtual import Faults

N_SPIKES = (5, 0, 3)  # one neuron fires at each event of its sample


@pytest.fixture(scope="module")
def program():
    """One neuron with a threshold of one event."""
    return single_core()


@pytest.fixture(scope="module")
def samples():
    zeros = [np.zeros(n, np.int64) for n in N_SPIKES]
    return [make_events(100 * np.arange(len(z)), z, z, z) for z in zeros]


@pytest.fixture(scope="module")
def golden(program, samples):
    return make_golden(program, samples, torch=np.array([[1.0], [0.0], [2.0]]))


@pytest.fixture
def file(tmp_path, program, golden):
    program.save(tmp_path / "m.speck", golden=golden)
    return tmp_path / "m.speck"


def test_the_answers_are_the_spikes_that_can_be_counted_by_hand(golden):
    assert golden.layers[0].values.ravel().tolist() == list(N_SPIKES)
    # one neuron that fires at each event has no order that could change
    assert golden.layers[0].floor == 0


def test_a_file_keeps_them_and_the_program_has_the_hash_that_it_had(file, program, golden):
    assert Program.load(file).sha256 == program.sha256
    read = Golden.load(file)
    assert read.manifest(program.sha256) == golden.manifest(program.sha256)
    for one, other in zip(read.events, golden.events, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_without_answers_still_loads(tmp_path, program):
    program.save(tmp_path / "m.speck")
    assert Golden.load(tmp_path / "m.speck") is None
    with zipfile.ZipFile(tmp_path / "m.speck") as archive:
        assert not [name for name in archive.namelist() if "golden" in name]


@pytest.mark.parametrize("board", ["twin", "virtual:speck2e"])
def test_a_board_that_answers_alike_is_fine(program, golden, board):
    with open_board(board) as opened:
        found = verify_board(opened, program, golden)
    assert found.fine
    assert found.sentence == f"{board} runs this file within its floor"
    # the second sample has no spike, so that nobody has an answer to it
    assert found.answers == ((0, 0, 0), (-1, -1, -1), (0, 0, 0))


def test_a_board_that_loses_spikes_is_not(program, golden):
    with open_board("virtual:speck2e", faults=Faults(drop=0.4, seed=3), check_cores=False) as board:
        found = verify_board(board, program, golden)
    assert not found.fine
    assert "layer core 0 differs by" in found.sentence


def test_a_layer_that_must_be_silent_and_is_not_is_too_much(program, golden):
    silent = replace(golden.layers[0], values=np.zeros_like(golden.layers[0].values))
    with open_board("twin") as twin:
        found = verify_board(twin, program, replace(golden, layers=(silent,)))
    assert "spikes where the file has none" in found.sentence


def test_a_board_that_runs_another_program_is_found_before_it_plays(program, golden):
    class Forgetful(Twin):
        """A board that keeps the program it had."""

        def load(self, program):
            super().load(single_core(weight=5))

        def play(self, *_arguments, **_options):
            raise AssertionError("it was played")

    with Forgetful() as board, pytest.raises(BoardError, match=r"runs program .* the file holds"):
        verify_board(board, program, golden)


def test_a_devkit_whose_configuration_was_changed_has_no_hash(program):
    with open_board("virtual:speck2e") as board:
        board.load(program)
        assert board.loaded_sha256() == program.sha256
        model = board._ready().model
        changed = model.get_configuration()
        changed.cnn_layers[0].threshold_high = 126
        model.apply_configuration(changed)
        with pytest.raises(BoardError, match="configuration on it is not that of program"):
            board.loaded_sha256()


def test_the_floor_is_what_changes_of_order_do(rng):
    program = square_chain(rng, n_cores=2)
    channels, height, width = program.input.shape
    times = np.repeat(np.arange(200), 3)  # three events at each time
    place = [rng.integers(0, side, len(times)) for side in (width, height, channels)]
    golden = make_golden(program, [make_events(times, *place)])
    assert golden.layers[-1].floor > 0
    assert len(golden.floor_from) == 7


def test_no_recording_makes_no_answers(program):
    with pytest.raises(EventsError, match="at least one recording"):
        make_golden(program, [])


def rewritten(file, change):
    """Rewrite a file with its manifest or an array changed."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest, members)
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def raise_floor(manifest, _members):
    manifest["golden"]["layers"][0]["floor"] = 100.0


def swap_program(manifest, _members):
    manifest["golden"]["program_sha256"] = "0" * 64


def alter_counts(_manifest, members):
    content = bytearray(members["golden/layers/0.npy"])
    content[-8] += 1
    members["golden/layers/0.npy"] = bytes(content)


def lose_array(_manifest, members):
    del members["golden/samples/0.npy"]


def claim_a_large_array(manifest, _members):
    manifest["golden"]["samples"][0]["shape"] = [10**12, 4]


def claim_floats(manifest, _members):
    manifest["golden"]["samples"][0]["dtype"] = "float64"


def hold_a_number(manifest, _members):
    manifest["golden"] = 5


@pytest.mark.parametrize(
    "change",
    [
        raise_floor,
        swap_program,
        alter_counts,
        lose_array,
        claim_a_large_array,
        claim_floats,
        hold_a_number,
    ],
)
def test_answers_that_were_altered_are_refused_and_the_program_still_loads(file, change):
    rewritten(file, change)
    with pytest.raises(FileFormatError) as caught:
        Golden.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Program.load(file).cores


@pytest.mark.parametrize("floor", [float("inf"), float("nan")])
def test_a_floor_within_which_every_board_lies_is_refused(tmp_path, program, golden, floor):
    # the file is whole and has a true hash: whoever wrote it meant it so
    layers = tuple(replace(layer, floor=floor) for layer in golden.layers)
    program.save(tmp_path / "m.speck", golden=replace(golden, layers=layers))
    with pytest.raises(FileFormatError, match=f"{floor} is not finite"):
        Golden.load(tmp_path / "m.speck")


def test_names_that_would_rule_a_terminal_are_not_taken(tmp_path, program, golden):
    layers = (replace(golden.layers[0], name="\x1b[2Jcleared"), *golden.layers[1:])
    program.save(tmp_path / "m.speck", golden=replace(golden, layers=layers))
    with pytest.raises(FileFormatError) as refused:
        Golden.load(tmp_path / "m.speck")
    assert "\x1b" not in str(refused.value)


def test_the_command_exits_0_within_the_floor_and_4_beyond(file, program, golden):
    assert CliRunner().invoke(main, ["verify", str(file), "--board", "twin"]).exit_code == 0
    more = replace(golden.layers[0], values=golden.layers[0].values + 1)
    program.save(file, golden=replace(golden, layers=(more,)))
    result = CliRunner().invoke(main, ["verify", str(file), "--board", "twin", "--json"])
    assert result.exit_code == 4
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["layers"][0]["difference"] == pytest.approx(3 / (sum(N_SPIKES) + 3))


def test_the_command_says_that_a_file_has_no_answers(tmp_path, program):
    program.save(tmp_path / "m.speck")
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "m.speck"), "--board", "twin"])
    assert result.exit_code == 1
    assert "convert its network again with --golden DATA" in result.stderr


def test_convert_puts_torchs_answers_beside_the_twins(tmp_path):
    save_network(small_network(), tmp_path / "m.pt")
    arguments = ["convert", str(tmp_path / "m.pt"), "-o", str(tmp_path / "m.speck")]
    more = ("--golden", "synthetic-digits", "--golden-samples", "2")
    result = CliRunner().invoke(main, [*arguments, *more])
    assert result.exit_code == 0, result.output
    golden = Golden.load(tmp_path / "m.speck")
    assert golden.torch.shape == (2, 10)
    assert [layer.name for layer in golden.layers] == ["conv1", "linear"]


def test_a_nir_graph_takes_no_answers(tmp_path):
    save_network(small_network(), tmp_path / "m.pt")
    arguments = ["convert", str(tmp_path / "m.pt"), "-o", str(tmp_path / "m.nir")]
    result = CliRunner().invoke(main, [*arguments, "--golden", "synthetic-digits"])
    assert result.exit_code == 2
