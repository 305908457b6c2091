"""Probing: every switch of a virtual devkit is found by the experiment of its name."""

import json
import math
import time
from dataclasses import fields

import pytest
from click.testing import CliRunner

from speckflex.boards import open_board
from speckflex.boards.chip.bench import open_bench
from speckflex.boards.probe_file import Finding, ProbeFile
from speckflex.cli import main
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.probing.probe import EXPERIMENTS, probe
from speckflex.twin.settings import TwinSettings
from speckflex.virtual import Faults, Unverified

# Both ways of each switch: of the twin behind the devkit, and of the devkit.
TWIN_SWITCHES = {
    "output_order": ("-y-x+c", "+c-x+y"),
    "merge_feature": (0, 1),
    "single_polarity_feature": (0, "that of the polarity"),
    "leak_cores_01": ("works", "none"),
    "withheld_spike": ("no", "last"),
    "decimator_table": ("without 64", "with 64"),
    "destination_order": ("listed", "reversed"),
    "overflow": ("compare before cutting to 16 bits", "wrap"),
    "leak_spikes": ("at next event", "at tick"),
    "edge_spikes": ("drop", "keep"),
    "mirror_frame": ("not at all", "sensor"),
    "decimator_passes": ("last", "first"),
    "decimator_monitor": ("before", "after"),
}
DEVKIT_SWITCHES = {
    "model_reset": ("zero", "initial values"),
    "reads_while_running": ("answered", "dropped"),
    "readout_bit_20": ("maximum above threshold", "valid"),
}
SWITCHES = TWIN_SWITCHES | DEVKIT_SWITCHES
BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}


def probed(names, **behaviour):
    """Return what the named experiments find on a devkit that takes no time."""
    with open_bench("virtual:speck2f", speed=math.inf, **behaviour) as bench:
        return probe(bench, [BY_NAME[name] for name in names])


def devkit_with(way):
    """Return what a devkit with this way of every switch is opened with."""
    twin = {name: ways[way] for name, ways in TWIN_SWITCHES.items()}
    return {
        "twin": TwinSettings(**twin),
        "unverified": Unverified(**{name: ways[way] for name, ways in DEVKIT_SWITCHES.items()}),
    }


@pytest.fixture(scope="module")
def other_way():
    """What all experiments find on a devkit with the second way of every switch."""
    return probed(BY_NAME, **devkit_with(1))


def test_each_switch_is_found_the_one_way():
    found = probed(SWITCHES, **devkit_with(0))
    assert {name: found.answers.get(name) for name in SWITCHES} == {
        name: str(ways[0]) for name, ways in SWITCHES.items()
    }


def test_each_switch_is_found_the_other_way(other_way):
    assert {name: other_way.answers.get(name) for name in SWITCHES} == {
        name: str(ways[1]) for name, ways in SWITCHES.items()
    }


def test_a_board_as_it_is_by_default_is_found_as_such():
    found = probed(("overflow", "mirror_frame"))
    assert found.answers == {"overflow": "saturate", "mirror_frame": "region"}


def test_no_experiment_fails_where_nothing_has_to_be_timed(other_way):
    untimed = [e.name for e in EXPERIMENTS if not e.is_timed]
    problems = {one.name: one.problem for one in other_way.findings if one.problem}
    assert not set(untimed) & set(problems)
    assert set(problems) == {e.name for e in EXPERIMENTS if e.is_timed}


def test_each_answer_of_an_experiment_is_expected_to_look_different():
    for experiment in EXPERIMENTS:
        seen = [json.dumps(one) for one in experiment.expected.values()]
        assert len(set(seen)) == len(seen), experiment.name


def test_each_answer_on_a_setting_is_a_value_of_it():
    for settings in (TwinSettings(), Unverified()):
        for item in fields(settings):
            for answer in BY_NAME[item.name].hypotheses if item.name in BY_NAME else ():
                found = Finding(item.name, "", answer, BY_NAME[item.name].hypotheses)
                probed = ProbeFile({}, "", 0.0, (found,), "").applied_to(settings)
                assert str(getattr(probed, item.name)) == answer


def test_a_balancer_takes_all_where_cores_take_no_time():
    (found,) = probed(("balancer_depth",)).findings
    assert found.observed == {"taken of 1000": 1000, "taken of 2000": 2000}


def test_a_devkit_refuses_a_rate_that_its_cores_would_not_keep():
    with pytest.raises(BoardError, match="cores of a devkit take no time: leave it out"):
        open_board("virtual:speck2f", twin=TwinSettings(synops_per_second=1e6))


def test_an_unexpected_observation_has_no_answer():
    assert BY_NAME["overflow"].judge({"spikes": 7, "potential": 1}) == ""


def test_the_file_opens_a_twin_and_a_devkit_like_the_board(other_way, tmp_path):
    path = tmp_path / "probe.json"
    other_way.save(path)
    with open_board(f"twin?probe={path}") as twin:
        for name, ways in TWIN_SWITCHES.items():
            assert getattr(twin.settings, name) == ways[1]
    assert ProbeFile.load(path).applied_to(Unverified()) == Unverified(
        model_reset="initial values", reads_while_running="dropped", readout_bit_20="valid"
    )
    with open_bench(f"virtual:speck2f?probe={path}", speed=math.inf) as bench:
        again = probe(bench, [BY_NAME[name] for name in ("output_order", "model_reset")])
    assert again.answers == {"output_order": "+c-x+y", "model_reset": "initial values"}
    with open_board("virtual:speck2f", probe=path) as devkit:
        assert devkit.settings.probe.startswith("virtual:speck2f virtual")


def test_experiments_that_time_something_run_at_the_speed_of_a_board():
    with open_bench("virtual:speck2f") as bench:
        found = probe(bench, [BY_NAME["clock_phase"], BY_NAME["request_behind_event"]])
    clock, request = (one.observed for one in found.findings)
    # the devkit's clock ticks a period after it is switched on, and 100 ms later; a busy machine
    # sees a tick late, never early
    first, second = clock["ticks, ms"]
    assert first > 99
    assert second > 199
    assert request["request answered after"] > 0.3


def test_an_experiment_that_fails_leaves_the_others():
    stubborn = Faults(refuse_configuration=1)
    found = probed(("overflow", "merge_feature"), faults=stubborn)
    first, second = found.findings
    assert "refused the configuration" in first.problem
    assert not first.answer
    assert second.answer == "0"


def test_no_experiment_starts_after_the_time_is_over():
    with open_bench("virtual:speck2f", speed=math.inf) as bench:
        found = probe(bench, [BY_NAME["register_0"]], longest=-1)
    assert found.findings[0].problem == "not run: -1 s were over"


def test_an_unplugged_board_ends_the_probing():
    with (
        open_bench("virtual:speck2f", faults=Faults(unplug_after=20)) as bench,
        pytest.raises(BoardError, match="unplugged"),
    ):
        probe(bench, EXPERIMENTS)


@pytest.mark.parametrize(
    ("board", "error"),
    [("twin", "experiments need a devkit"), ("virtual:nothing", "not known")],
)
def test_what_is_no_devkit_is_refused(board, error):
    with pytest.raises((BoardError, BoardNotFoundError), match=error):
        open_bench(board)


def test_the_command_shows_and_writes_what_it_found(tmp_path):
    path = tmp_path / "p.json"
    only = ("--only", "register_0", "--only", "overflow")
    begun = time.monotonic()
    result = CliRunner().invoke(main, ["probe", "virtual:speck2e", "-o", str(path), *only])
    assert result.exit_code == 0, result.output
    assert "overflow                 saturate" in result.output
    assert "2 of 2 questions settled" in result.output
    assert time.monotonic() - begun < 300
    written = json.loads(path.read_text())
    assert written["board"]["chip"] == "speck2e"
    assert [row["answer"] for row in written["findings"]] == ["241", "saturate"]


def test_the_command_prints_json_alone_on_standard_output():
    arguments = ["probe", "virtual:speck2e", "--json", "--only", "register_0"]
    result = CliRunner().invoke(main, arguments)
    assert json.loads(result.stdout)["findings"][0]["observed"] == 0xF1


def test_the_command_refuses_what_is_no_experiment():
    result = CliRunner().invoke(main, ["probe", "virtual:speck2e", "--only", "colour"])
    assert result.exit_code == 2
    assert "'colour' is no experiment" in result.output
