"""The end of a command's process: at once, with everything that was registered for it done."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("speckflex")
BEFORE = "import atexit, gc, sys, threading, time\nfrom speckflex.cli.process import run\n"


def run_python(code, *words, **options):
    command = [sys.executable, "-c", BEFORE + code, *words]
    given = {"capture_output": True, "text": True, **options}
    done = subprocess.run(command, check=False, **given)  # noqa: S603 - our own interpreter and our own code
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_the_process_searches_for_unreachable_objects_seldom_and_not_at_its_end():
    code = (
        "def tell(): print('at the end', gc.isenabled(), gc.get_threshold()[0])\n"
        "atexit.register(tell)\n"  # is called last: so a process that is left at once skips it
        "sys.argv[1:] = ['no-such-command']\n"
        "run()\n"
    )
    assert run_python(code)[1] == []
    code = code.replace("run()", "import gc\ntry: run()\nexcept SystemExit: tell()")
    assert int(run_python(code)[1][0].split()[-1]) > 700


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--version"], 0), (["deploy"], 2), (["info", __file__], 1)],
)
def test_the_exit_code_is_that_of_the_command(words, expected):
    done = subprocess.run([SCRIPT, *words], capture_output=True, check=False)  # noqa: S603
    assert done.returncode == expected
    assert bool(done.stdout) == (expected == 0)
    assert bool(done.stderr) == (expected != 0)


def test_what_a_command_registered_and_started_is_done_before_the_process_ends():
    code = (
        "import speckflex.cli\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def work(word): time.sleep(0.2); sys.stdout.write(word + chr(10))\n"
        "def main():\n"
        "    atexit.register(print, 'registered')\n"
        "    threading.Thread(target=work, args=('thread',)).start()\n"
        "    ThreadPoolExecutor(1).submit(work, 'pool')\n"
        "    print('a line that is not written yet')\n"
        "    sys.exit(3)\n"
        "speckflex.cli.main = main\n"
        "run()\n"
    )
    status, printed, _ = run_python(code)
    assert status == 3
    assert printed[-1] == "registered"
    assert set(printed) == {"a line that is not written yet", "thread", "pool", "registered"}


def test_a_process_that_is_left_takes_no_objects_apart():
    code = (
        "import speckflex.cli\n"
        "class Told:\n"
        "    def __del__(self): print('taken apart')\n"
        "told = Told()\n"
        "speckflex.cli.main = lambda: sys.exit(ENDING)\n"
        "run()\n"
    )
    assert run_python(code.replace("ENDING", "0")) == (0, [], [])
    # a message instead of a code is for Python to print
    assert run_python(code.replace("ENDING", "'why'")) == (1, ["taken apart"], ["why"])


def test_an_error_that_nobody_caught_still_shows_its_traceback():
    code = "import speckflex.cli\nspeckflex.cli.main = lambda: 1 / 0\nrun()\n"
    status, printed, errors = run_python(code)
    assert (status, printed) == (1, [])
    assert errors[-1].startswith("ZeroDivisionError")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_can_not_be_written_fails_as_python_fails():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([SCRIPT, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)  # noqa: S603
    assert done.returncode != 0
    assert done.stderr


def test_a_measurement_of_coverage_is_written(tmp_path):
    code = (
        "import coverage\n"
        "measured = coverage.Coverage(data_file='found')\n"
        "atexit.register(measured.save)\n"
        "measured.start()\n"
        "run()\n"
    )
    assert run_python(code, "--version", cwd=tmp_path)[0] == 0
    assert (tmp_path / "found").exists()
