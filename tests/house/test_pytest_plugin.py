"""The pytest plugin, in runs of pytest of their own."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from virtual_boards import single_core

from speckflex.boards import open_board
from speckflex.events.streams import make_events

pytest_plugins = ("pytester",)

USER_TEST = """
import numpy as np
import pytest
from speckflex.events import make_events
from speckflex.program import Program

@pytest.fixture
def program():
    return Program.load("net.speck")

@pytest.fixture
def events():
    n = np.arange(1, 6)
    return make_events(n * 100, n * 0, n * 0, n * 0)

def test_every_event_is_a_spike(play, program, events, board_metrics):
    recording = play(program, events)
    assert recording.counts().sum() == 5
    board_metrics.record(spikes=5)
    assert board_metrics.record_difference(recording, recording) == 0

@pytest.mark.needs_chip("silicon has its own clock")
def test_on_silicon(board):
    raise AssertionError("no silicon here")

@pytest.mark.needs_devkit("the twin has no stop watch")
def test_on_a_devkit(board):
    assert board.kind in {"virtual", "chip"}

@pytest.mark.needs_samna("reads its version")
def test_with_samna():
    raise AssertionError("no samna here")
"""


@pytest.fixture(autouse=True, scope="module")
def loaded_kernels():
    """Load numba before pytester does: it forgets what a test imports, numba can't load twice."""
    with open_board("twin") as board:
        board.load(single_core())
        board.play(make_events(*(np.zeros(1, int) for _ in range(4))))


@pytest.fixture
def users_suite(pytester):
    """A folder with a user's test and program."""
    pytester.makepyfile(test_network=USER_TEST)
    single_core().save(pytester.path / "net.speck")
    return pytester


def test_tests_run_on_the_twin_by_default_and_skip_with_their_reasons(users_suite):
    result = users_suite.runpytest_inprocess("-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(
        [
            "*board twin is not enough: silicon has its own clock",
            "*board twin is not enough: the twin has no stop watch",
            "*the vendor's samna is not installed: reads its version",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("speckflex board:*")


def test_a_skip_is_shown_at_the_line_of_its_own_test(users_suite):
    lines = (users_suite.path / "test_network.py").read_text().splitlines()
    first = 1 + next(i for i, line in enumerate(lines) if "needs_chip" in line)
    result = users_suite.runpytest_inprocess("-rs")
    result.stdout.fnmatch_lines(
        f"SKIPPED [[]1[]] test_network.py:{first}: board twin is not enough: silicon *"
    )
    result.stdout.no_fnmatch_line("SKIPPED*pytest_plugin.py*")


def test_the_header_names_the_board_and_what_it_is(users_suite):
    result = users_suite.runpytest_inprocess("--board", "virtual:speck2f", "-rs")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines("speckflex board: virtual:speck2f (virtual devkit *no hardware)")


def test_measured_values_are_in_the_junit_file_and_in_the_metrics(users_suite):
    users_suite.runpytest_inprocess("--junitxml=out.xml", "--board-metrics=metrics.jsonl")
    tree = ET.parse(users_suite.path / "out.xml")  # noqa: S314 - written just now, by pytest
    properties = {p.get("name"): p.get("value") for p in tree.iter("property")}
    assert properties["board"] == "twin"
    assert properties["lost_events"] == "0"
    assert properties["spikes"] == "5"
    assert properties["program_sha256"] == single_core().sha256
    assert not [name for name in properties if " " in name]
    assert properties["spike_difference.core_0"] == "0.0"
    lines = (users_suite.path / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    assert metrics[0]["spikes"] == 5
    assert metrics[1]["spike_difference.core_0"] == 0
    assert {line["board"] for line in metrics} == {"twin"}


def test_a_recorded_session_serves_as_the_board(users_suite):
    n = range(1, 6)
    with open_board("twin") as board:
        board.load(single_core())
        events = make_events(*([value * scale for value in n] for scale in (100, 0, 0, 0)))
        board.play(events).save(users_suite.path / "run.h5")
    result = users_suite.runpytest_inprocess("--board", "replay:run.h5", "-k", "every_event")
    result.assert_outcomes(passed=1)


def test_a_board_that_is_not_there_fails_in_one_line(users_suite):
    result = users_suite.runpytest_inprocess("--board", "speck2e:0", "-k", "every_event")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*board speck2e:0: *samna*")
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*another exception*")


def test_metrics_in_a_folder_that_is_not_there_are_misuse(users_suite):
    result = users_suite.runpytest_inprocess("--board-metrics", "missing/figures.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*missing/figures.jsonl: its folder is missing: make it first")


def test_the_board_may_be_set_in_the_ini_file(users_suite):
    users_suite.makeini("[pytest]\nspeckflex_board = virtual:speck2e\n")
    result = users_suite.runpytest_inprocess()
    result.assert_outcomes(passed=2, skipped=2)


def test_a_marker_without_a_reason_is_misuse(pytester):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.needs_chip\ndef test_it():\n    pass\n",
    )
    result = pytester.runpytest_inprocess()
    assert result.ret != 0
    result.stdout.fnmatch_lines("*marker needs_chip has no reason*")


def test_loading_the_plugin_loads_no_heavy_library():
    code = (
        "import sys, speckflex.pytest_plugin;"
        "print([m for m in ('numpy', 'torch', 'numba', 'samna', 'click') if m in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("board", ["twin", "virtual:speck2e"])
def test_the_users_suite_among_the_examples_passes(pytester, board):
    suite = Path(__file__).resolve().parents[2] / "examples" / "hil"
    result = pytester.runpytest_subprocess(str(suite), "--board", board, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, skipped=1)


def test_virtual_devkits_are_there_for_one_test_and_gone_after_it(pytester):
    pytester.makepyfile(
        """
        def test_they_are_attached(virtual_devkits):
            virtual_devkits(["Speck2eDevKit", "Speck2fModuleDevKit"])
            import samna
            names = [d.device_type_name for d in samna.device.get_all_devices()]
            assert names == ["Speck2eDevKit", "Speck2fModuleDevKit"]

        def test_they_are_gone(request):
            import samna
            assert samna.device.get_all_devices() == []
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


CHIP_TEST = """
import pytest
pytestmark = pytest.mark.needs_chip("silicon only")
def test_power(board): assert board.kind == "chip"
def test_repeat(board): assert board.kind == "chip"
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--board", "speck2x:0"), "*--board speck2x:0: *not known: begin its name with one of *"),
        (("--board", "virtual:spek"), "*--board virtual:spek: *choose one of virtual:speck2e*"),
        (("--board", "twin:gpu"), "*--board twin:gpu: *choose one of cpu, cuda"),
        (("--fault", "drop=0.01"), "*--fault drop=0.01: board twin has no faults*"),
        (
            ("--board", "virtual:speck2e", "--fault", "dropping=1"),
            "*--fault dropping=1: *'dropping'*drop=N*",
        ),
        (("--min-accuracy", "98"), "*--min-accuracy 98: give a number from 0 to 1*"),
        (("--max-spike-difference", "nan"), "*--max-spike-difference nan: give a number*"),
    ],
)
def test_a_misspelt_choice_is_misuse_and_never_a_green_run_of_skips(pytester, arguments, message):
    pytester.makepyfile(CHIP_TEST)
    result = pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(message)


def test_the_last_line_counts_the_tests_that_no_chip_ran(pytester):
    pytester.makepyfile(test_chip=CHIP_TEST, test_other="def test_nothing(): pass")
    result = pytester.runpytest_inprocess("--junitxml=out.xml")
    result.stdout.fnmatch_lines("*1 passed, 2 skipped, 2 not on a chip in *")
    tree = ET.parse(pytester.path / "out.xml")  # noqa: S314 - written just now, by pytest
    kinds = [p.get("value") for p in tree.iter("property") if p.get("name") == "board_kind"]
    assert kinds == ["twin", "twin"]


def test_every_case_of_a_run_says_the_board_and_the_bars(users_suite):
    users_suite.makepyfile(test_other="def test_nothing(): pass")
    arguments = ("--board", "virtual:speck2e", "--max-spike-difference", "0.1")
    users_suite.runpytest_inprocess(*arguments, "--junitxml=out.xml")
    tree = ET.parse(users_suite.path / "out.xml")  # noqa: S314 - written just now, by pytest
    cases = [
        {item.get("name"): item.get("value") for item in case.iter("property")}
        for case in tree.iter("testcase")
    ]
    assert len(cases) == 5
    assert {case["board"] for case in cases} == {"virtual:speck2e"}
    assert {case["max_spike_difference"] for case in cases} == {"0.1"}
    played = [case for case in cases if "program_sha256" in case]
    assert len(played) == 1
    assert played[0]["board_serial"]


LOSSY_TEST = """
import numpy as np
import speckflex as sf
from speckflex.events import make_events

def test_as_on_the_twin(play, board_metrics):
    program = sf.Program.load("net.speck")
    n = np.arange(1, 401)
    events = make_events(n * 100, n * 0, n * 0, n * 0)
    with sf.open_board("twin") as twin:
        twin.load(program)
        expected = twin.play(events)
    board_metrics.record_difference(expected, play(program, events))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--board", "virtual:speck2e", "--fault", "drop=0.5"),
        ("--board", "virtual:speck2e,drop=0.5"),
    ],
)
def test_a_bar_fails_a_test_on_a_devkit_that_loses_spikes(pytester, arguments):
    single_core().save(pytester.path / "net.speck")
    pytester.makepyfile(LOSSY_TEST)
    result = pytester.runpytest_inprocess(*arguments, "--max-spike-difference", "0.1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*spike difference at the output*is 0.*allows 0.1*")


def test_an_accuracy_below_the_bar_or_without_labels_fails(pytester):
    single_core().save(pytester.path / "net.speck")
    pytester.makepyfile(
        """
        import numpy as np
        import pytest
        import speckflex as sf
        from speckflex.events import make_events

        @pytest.mark.parametrize("labels", [None, [0, 1], [0, 0]])
        def test_it(play, board_metrics, labels):
            events = make_events(*(np.full(3, n) for n in (100, 0, 0, 0)))
            recording = play(sf.Program.load("net.speck"), [events, events])
            labels = None if labels is None else np.array(labels)
            assert board_metrics.record_accuracy(recording, labels) == 1
        """
    )
    result = pytester.runpytest_inprocess("--min-accuracy", "0.6")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*has no value*asks for 0.6*", "*accuracy is 0.5*asks for 0.6*"])


def test_a_bar_that_no_test_measures_fails_the_run(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_inprocess("--min-accuracy", "0.9")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines("missed: --min-accuracy: no test measured its figure: *")


def test_an_accuracy_at_a_time_below_its_bar_fails_and_so_does_silence(pytester):
    single_core().save(pytester.path / "net.speck")
    pytester.makepyfile(
        """
        import numpy as np
        import pytest
        import speckflex as sf
        from speckflex.events import make_events

        SPIKES, SILENCE = [100, 200], []

        @pytest.mark.parametrize("times", [[SPIKES, SPIKES], [SPIKES, SILENCE]])
        def test_it(play, board_metrics, times):
            events = [make_events(np.array(t, int), *np.zeros((3, len(t)), int)) for t in times]
            recording = play(sf.Program.load("net.speck"), events)
            found = board_metrics.record_accuracy_at(recording, events, np.zeros(2, int))
            assert found == 1
        """
    )
    result = pytester.runpytest_inprocess("--min-accuracy-at", "50us", "0.9")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines("*accuracy at 50 µs is 0.5: --min-accuracy-at asks for 0.9*")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("100", "0.9"), "*--min-accuracy-at 100: give a time with its unit, such as 100ms"),
        (("100ms", "90"), "*--min-accuracy-at 90: give a number from 0 to 1*"),
    ],
)
def test_a_time_without_its_unit_and_a_percentage_are_misuse(pytester, words, message):
    pytester.makepyfile(CHIP_TEST)
    result = pytester.runpytest_inprocess("--min-accuracy-at", *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(message)
