"""The recipes of the documents: state dicts of other tools give the spikes of those tools."""

import gzip
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from documentation import DOCS, FILE, blocks

from speckflex.conversion.convert import convert
from speckflex.errors import NetworkError
from speckflex.networks.files import load_network

FILES = Path(__file__).resolve().parents[1] / "files" / "weights"
PAGE = DOCS / "coming-from.md"
TOOLS = {
    "snntorch": "snnTorch 1.0.0",
    "norse": "norse 1.1.0",
    "spikingjelly": "SpikingJelly 2.0.0",
}

spec = importlib.util.spec_from_file_location("small_network", FILES / "small_network.py")
assert spec is not None
assert spec.loader is not None
small_network = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small_network)


@pytest.fixture(autouse=True)
def recipes(tmp_path, monkeypatch):
    """The module that a reader of the page saves."""
    (code,) = (block.code for block in blocks(PAGE) if block.code.startswith("# recipes.py"))
    assert FILE.match(code)
    (tmp_path / "recipes.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("recipes", None)


def _load(tool: str, folder: Path) -> torch.nn.Module:
    path = folder / f"{tool}.pth"
    path.write_bytes(gzip.decompress((FILES / f"{tool}.pth.gz").read_bytes()))
    # snnTorch's file has the threshold; the other two keep it in code
    more = "" if tool == "snntorch" else f" threshold={small_network.THRESHOLD}"
    return load_network(path, factory=f"recipes:{tool}{more}")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_state_dict_gives_the_spikes_of_the_tool_that_wrote_it(tool, tmp_path):
    network = _load(tool, tmp_path)
    with torch.no_grad():
        spikes = network(torch.from_numpy(small_network.frames())).numpy()
    with np.load(FILES / f"{tool}.npz") as played:
        assert played["spikes"].sum() > 100
        np.testing.assert_array_equal(spikes, played["spikes"])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_state_dict_becomes_a_program_with_the_tools_reset(tool, tmp_path):
    program = convert(_load(tool, tmp_path), small_network.INPUT_SHAPE)
    assert [core.return_to_zero for core in program.cores] == [tool == "norse"] * 3


def test_the_reset_of_snntorch_is_checked_against_the_recipes(tmp_path):
    _load("snntorch", tmp_path)
    path = tmp_path / "zero.pth"
    state = torch.load(tmp_path / "snntorch.pth", weights_only=True)
    state |= {key: torch.tensor(1) for key in state if key.endswith("reset_mechanism_val")}
    torch.save(state, path)
    with pytest.raises(NetworkError, match=r"MembraneReset"):
        load_network(path, factory="recipes:snntorch")


def test_the_page_says_of_every_file_what_the_tests_say():
    page = PAGE.read_text()
    assert {path.name.removesuffix(".pth.gz") for path in FILES.glob("*.pth.gz")} == TOOLS.keys()
    for tool, writer in TOOLS.items():
        verdict = f"loads with `recipes:{tool}`, the spikes of the tool itself"
        assert f"| `{tool}.pth` | {writer} | {verdict} |" in page
        assert re.search(rf"^def {tool}\(", page, re.MULTILINE)
