"""The commands that a report suggests carry the options of the user, and are ones that run."""

import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest

from speckflex.cli import main
from speckflex.networks.fold_report import FoldReport
from speckflex.report._remedies import Remedies
from speckflex.report.facts import DataFacts, RunFacts

RUN = RunFacts(
    model="base net.pt",
    data=DataFacts("digits", ("0", "1"), training="my digits"),
    board_asked="speck2e",
    bins=10,
    model_path="base net.pt",
)
COMMAND = (
    "speckflex deploy 'base net.pt' --data 'my digits' --network 'mymod:make width=16' --key ema"
    " --fields t=ts --crop=32,32 --merge-polarities --input-shape 1,32,32 --require-chip"
    " --samples 20 --out results --min-accuracy 0.9 --explain"
)
FOLDED = FoldReport(())
OPTIONS = ("--eight-bit", "--method mtt", "--synops-weight 0.1")


def commands(remedies: Remedies) -> list[str]:
    again = ("--explain", "--rate 10000000", "--board twin --ensemble 8")
    suggested = [*map(remedies.finetune, OPTIONS), *map(remedies.deploy, again), remedies.check]
    return [one for command in suggested for one in command.split(" && ")]


@pytest.mark.parametrize("command", [COMMAND, ""])
@pytest.mark.parametrize("folding", [None, FOLDED])
def test_the_command_line_takes_every_suggested_command(
    command: str, folding: FoldReport | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("base net.pt", "folded.pt"):
        (tmp_path / name).touch()
    for one in commands(Remedies(replace(RUN, folding=folding), command)):
        program, verb, *words = shlex.split(one)
        assert program == "speckflex"
        found = main.get_command(click.Context(main), verb)
        assert found is not None
        found.make_context(verb, words)  # fails where an option is unknown or lacks its value


def test_the_network_is_named_where_its_weights_are_read():
    fold, tune = Remedies(replace(RUN, folding=FOLDED), COMMAND).finetune("--eight-bit").split("&&")
    assert "--network 'mymod:make width=16' --key ema" in fold
    assert "--network" not in tune  # folded.pt is a whole network
    assert "--data 'my digits' --fields t=ts --crop=32,32 --merge-polarities" in tune


def test_playing_again_leaves_out_bars_and_files():
    again = Remedies(RUN, COMMAND).deploy("--explain")
    assert "--samples 20" in again
    assert "--network 'mymod:make width=16'" in again
    for option in ("--out", "--require-chip", "--min-accuracy"):
        assert option not in again
    assert again.count("--explain") == 1


def test_without_a_training_part_the_command_says_what_is_missing():
    run = replace(RUN, data=DataFacts("one file", ()))
    assert "--data TRAINING_DATA" in Remedies(run, COMMAND).finetune("--eight-bit")
