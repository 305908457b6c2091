"""A delayed import costs nothing until the module is used, and is then the module itself."""

import subprocess
import sys


def printed(code, folder):
    """Return what a fresh interpreter prints that finds the modules of a folder."""
    (folder / "slow.py").write_text("print('loaded')\nname, _hidden = 'here', 1\n")
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", f"from speckflex._support.delayed import delay_import\n{code}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_module_is_loaded_when_something_of_it_is_read(tmp_path):
    code = (
        "delay_import('slow')\nimport inspect, slow\ninspect.getmodule(len)\nprint('before')\n"
        "print(slow.name)\nimport slow\nprint(slow.__name__)\n"
    )
    assert printed(code, tmp_path) == ["before", "loaded", "here", "slow"]


def test_all_names_of_a_delayed_module_can_be_taken(tmp_path):
    code = "delay_import('slow')\nfrom slow import *\nprint(name, '_hidden' in globals())\n"
    assert printed(code, tmp_path) == ["loaded", "here", "False"]


def test_a_module_that_is_not_there_stays_missing(tmp_path):
    code = "delay_import('nowhere')\nimport sys; print('nowhere' in sys.modules)\n"
    assert printed(code, tmp_path) == ["False"]


def test_a_network_is_checked_without_matplotlib_and_numba():
    code = (
        "import sys\nfrom importlib.resources import files\n"
        "from speckflex.conversion.model import check_model\n"
        "path = files('speckflex') / 'models' / 'synthetic-digits.pt'\n"
        "check_model(path, input_shape=(2, 34, 34))\n"
        "print({'matplotlib', 'numba', 'scipy', 'tonic'} & set(sys.modules))\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
