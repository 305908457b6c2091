"""The layers of the install: what the core does alone, and how a missing extra is named."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from layers import CORE, DIGITS

from speckflex._support.extras import EXTRAS
from speckflex.analysis.golden import make_golden
from speckflex.data import open_dataset
from speckflex.fitting.placement import place_layers
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SCRIPT = ROOT / "tests" / "support" / "without.py"
NETWORK = str(files("speckflex") / "models" / "synthetic-digits.pt")
# No module of an extra, and none of those that the package needed once.
ABSENT = ("scipy", "sklearn", *EXTRAS)

# What needs an extra, and which.
BEYOND = {
    "deploy": (("deploy", NETWORK, *DIGITS), "torch"),
    "demo": (("demo", "--out", "demo"), "torch"),
    "check": (("check", NETWORK), "torch"),
    "convert": (("convert", NETWORK, "-o", "n.speck"), "torch"),
    "explain": (("deploy", "p.speck", *DIGITS, "--explain"), "torch"),
    "fold": (("fold", NETWORK, "-o", "n.pt"), "torch"),
    "train": (("train", *DIGITS, "-o", "n.pt"), "torch"),
    "finetune": (("finetune", NETWORK, *DIGITS, "-o", "n.pt"), "torch"),
    "evaluate": (("evaluate", NETWORK, *DIGITS), "torch"),
    "info": (("info", NETWORK), "torch"),
    "download": (("view", "nmnist", "--download"), "data"),
    "figures": (("report", "run", "--figures", "figures"), "plots"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What all commands give in one interpreter without the extras."""
    folder = tmp_path_factory.mktemp("core")
    weights = np.random.default_rng(0).integers(-20, 50, (10, 2, 6, 6), dtype=np.int8)
    core = Core("conv", weights, 100, -100, input_shape=(2, 34, 34), stride=(4, 4))
    program = place_layers(Program((core,), InputStage((2, 34, 34))))
    events = [open_dataset("synthetic-digits")[0][0]]
    program.save(folder / "p.speck", golden=make_golden(program, events))
    commands = [*CORE.values(), *(words for words, _ in BEYOND.values())]
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own script
        [sys.executable, SCRIPT, ",".join(ABSENT), json.dumps(commands)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    results = iter(result["commands"])
    return {
        "core": {name: next(results) for name in CORE},
        "beyond": {name: next(results) for name in BEYOND},
        "loaded": result["loaded"],
    }


@pytest.mark.parametrize("name", CORE)
def test_a_command_works_on_program_files_without_any_extra(found, name):
    result = found["core"][name]
    assert result["known"], result["output"]
    assert result["exit_code"] == 0, result["output"]


@pytest.mark.parametrize("name", BEYOND)
def test_a_command_without_its_extra_says_what_to_install_in_one_line(found, name):
    result, (_, extra) = found["beyond"][name], BEYOND[name]
    assert result["known"], result["output"]
    assert result["exit_code"] == 1
    last = result["output"].splitlines()[-1]
    assert re.fullmatch(
        rf"Error: \S.* needs \w+, which is not installed: pip install 'speckflex\[{extra}\]'",
        last,
    ), last


def test_none_of_the_modules_was_there(found):
    assert not set(found["loaded"]) & set(ABSENT)


def test_every_module_of_an_extra_is_brought_by_that_extra():
    for module, extra in EXTRAS.items():
        rule = rf"^{extra} = (\[.*?\])(?: #.*?)?$"
        [wanted] = re.findall(rule, SETTINGS, re.MULTILINE | re.DOTALL)
        assert f'"{module}' in wanted.replace("-", "_"), module


def test_the_core_asks_for_no_module_of_an_extra():
    core = re.search(r"^dependencies = \[(.*?)^\]", SETTINGS, re.MULTILINE | re.DOTALL)[1]
    names = re.findall(r'"([\w-]+)', core)
    assert names
    assert not set(names) & set(ABSENT)


def test_a_public_name_without_its_extra_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import speckflex as sf\n"
        "try:\n    sf.load_network\n"
        "except sf.SpeckflexError as error:\n    print(error)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "speckflex.load_network needs torch, which is not installed: pip install"
        " 'speckflex[torch]'\n"
    )
