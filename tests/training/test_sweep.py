"""The search over training settings: its axes, its study, and the command."""

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from speckflex.cli import main
from speckflex.cli.config import tomllib
from speckflex.errors import MissingExtraError, TrainingError
from speckflex.events.streams import make_events
from speckflex.training.sweep.axes import Axis
from speckflex.training.sweep.study import Plan, best_row, open_study, rows_of, run_study
from speckflex.training.sweep.trial import OnTwin

AXES = (Axis("t_max", low=2, high=40), Axis("learning_rate", low=1e-4, high=1e-1, log=True))


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("t-max=5..20", Axis("t_max", low=5, high=20)),
        ("lr=1e-4..1e-2:log", Axis("learning_rate", low=1e-4, high=1e-2, log=True)),
        ("granularity=1,2,2", Axis("granularity", (1, 2))),
        ("lower-bound=-8,-1", Axis("lower_bound", (-8.0, -1.0))),
        ("eight_bit=true,false", Axis("eight_bit", (True, False))),
        ("first-stage=uniform,fixed", Axis("sampler", ("uniform", "fixed"))),
        ("max-load=0.5..0.9", Axis("max_load", low=0.5, high=0.9)),
    ],
)
def test_an_axis_is_read_from_its_text(text, axis):
    assert Axis.parse(text) == axis


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("epoch=1,2", "did you mean epochs"),
        ("seed=1,2", "no setting that can vary"),
        ("t-max", "names no values"),
        ("t-max=", "names no values"),
        ("t-max=5..2", "begins with its least"),
        ("t-max=1.5,2", "'1.5' is not a whole number"),
        ("lr=0..1:log", "begins above 0"),
        ("lr=1..2:lin", "may end in :log"),
        ("lr=nan,1", "'nan' is not a number"),
        ("method=sdt..mtt", "a range is of numbers"),
        ("eight-bit=yes", "is not true or false"),
    ],
)
def test_a_text_that_is_no_axis_is_refused(text, part):
    with pytest.raises(TrainingError, match=part):
        Axis.parse(text)


optuna = pytest.importorskip("optuna", reason="Optuna is not installed: speckflex[sweep]")


def slope(values, number):
    """A made-up training: more time steps are better, and cost more."""
    return OnTwin(accuracy=values["t_max"] / 100, peak_load=values["t_max"] / 20)


def test_the_best_trial_is_the_best_within_the_load(tmp_path):
    plan = Plan(AXES, trials=12, max_load=1.0)
    rows = run_study(open_study(tmp_path / "a.journal", plan), plan, slope)
    within = [row.values["t_max"] for row in rows if row.values["t_max"] <= 20]
    best = best_row(rows)
    assert best is not None
    assert 0 < len(within) < len(rows) == 12
    assert best.values["t_max"] == max(within)
    assert best_row([row for row in rows if not row.keeps_up]) is None


def test_a_search_that_was_killed_goes_on_as_it_would_have(tmp_path):
    class KilledError(BaseException):
        pass

    def die_at_the_fifth(values, number):
        if number == 4:
            raise KilledError
        return slope(values, number)

    plan = Plan(AXES, trials=8, seed=3)
    whole = run_study(open_study(tmp_path / "a.journal", plan), plan, slope)
    killed = open_study(tmp_path / "b.journal", plan)
    with pytest.raises(KilledError):
        run_study(killed, plan, die_at_the_fifth)
    assert rows_of(open_study(tmp_path / "b.journal", plan), plan) == rows_of(killed, plan)
    again = run_study(open_study(tmp_path / "b.journal", plan), plan, slope)
    assert len(again) == 8
    assert [row.values for row in again[:4]] == [row.values for row in whole[:4]]
    # the trial that was killed keeps its number, and its values are not drawn again
    assert [row.number for row in again] == [0, 1, 2, 3, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"peak_load": ', '"peak_load": "much", "was": '),
        ('{"speckflex": {', '{"speckflex": 7, "a": {'),
    ],
)
def test_a_storage_with_other_values_is_refused_in_one_line(old, new, tmp_path):
    plan = Plan(AXES, trials=1, about={"data": "made up"})
    path = tmp_path / "a.journal"
    run_study(open_study(path, plan), plan, slope)
    text = path.read_text().replace('":', '": ').replace('":  ', '": ')
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(TrainingError, match="storage of"):
        rows_of(open_study(path, plan), plan)


def test_two_workers_share_a_search(tmp_path):
    plan = Plan(AXES, trials=6)
    place = tmp_path / "a.journal"
    seen: list[int] = []
    meeting = threading.Barrier(2)

    def work():
        study = open_study(place, plan)
        meeting.wait()
        run_study(study, plan, lambda values, number: (seen.append(number), slope(values, 0))[1])

    open_study(place, plan)
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rows = rows_of(open_study(place, plan), plan)
    assert sorted(seen) == [row.number for row in rows] == list(range(len(rows)))
    assert 6 <= len(rows) <= 7  # both may begin the last one
    assert len({str(row.values) for row in rows}) == len(rows)


def test_values_that_were_tried_are_not_trained_again(tmp_path):
    plan = Plan((Axis("granularity", (1, 2)),), trials=6)
    trained: list[int] = []

    def train(values, number):
        trained.append(values["granularity"])
        return OnTwin(values["granularity"] / 10, 0.5)

    rows = run_study(open_study(tmp_path / "a.journal", plan), plan, train)
    assert len(rows) == 6
    assert len(trained) == len(set(trained)) <= 2
    assert {row.accuracy for row in rows} == {one / 10 for one in trained}


def test_a_trial_that_fails_is_named_and_counts(tmp_path):
    plan = Plan(AXES, trials=2)

    def fail(values, number):
        raise TrainingError("the loss is no number")

    rows = run_study(open_study(tmp_path / "a.journal", plan), plan, fail)
    assert [row.error for row in rows] == ["the loss is no number"] * 2
    assert best_row(rows) is None


def test_a_storage_of_another_search_or_of_none_is_refused(tmp_path):
    open_study(tmp_path / "a.journal", Plan(AXES, 2, about={"data": "a"}))
    with pytest.raises(TrainingError, match=r"another data \(a, now b\)"):
        open_study(tmp_path / "a.journal", Plan(AXES, 2, about={"data": "b"}))
    (tmp_path / "b.journal").write_text("no journal\n")
    for place in (tmp_path / "b.journal", "nosql://x", tmp_path):
        with pytest.raises(TrainingError, match="can't be used as the storage"):
            open_study(place, Plan(AXES, 2))


def test_a_sweep_without_optuna_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speckflex\[sweep\]'"):
        open_study(tmp_path / "a.journal", Plan(AXES, 2))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two classes of small recordings, as arrays in folders."""
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(5)
    for label in range(2):
        (folder / str(label)).mkdir()
        for index in range(4):
            x, y, p = rng.integers(0, (12, 12, 2), (60, 3)).T
            events = make_events(np.sort(rng.integers(0, 10_000, 60)), x, y, p)
            np.save(folder / str(label) / f"{index}.npy", events)
    return folder


def sweep(recordings, folder, *words):
    quick = ("--sensor", "12x12", "--width", "4", "--epochs", "1", "--threads", "1", "--json")
    searched = ("--search", "t-max=2..3", "--search", "lower-bound=-8,-1", "--trials", "2")
    words = ("sweep", "--data", recordings, *quick, *searched, "-o", folder, *words)
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_finds_the_best_and_train_makes_it_again(recordings, tmp_path):
    found = sweep(recordings, tmp_path / "out")
    assert found.exit_code == 0, found.output
    summary = json.loads(found.stdout)
    assert len(summary["trials"]) == 2
    best, options = summary["best"], tomllib.loads((tmp_path / "out" / "best.toml").read_text())
    assert options["t-max"] == best["values"]["t_max"]
    assert options["lower-bound"] == best["values"]["lower_bound"]
    again = ("train", "--config", str(tmp_path / "out" / "best.toml"), "-o", str(tmp_path / "a.pt"))
    trained = CliRunner().invoke(main, again)
    assert trained.exit_code == 0, trained.output
    kept = tmp_path / "out" / f"trial-{best['number']}.pt"
    assert (tmp_path / "a.pt").read_bytes() == kept.read_bytes()
    # nothing is left to do, so the same command shows the same trials
    assert json.loads(sweep(recordings, tmp_path / "out").stdout) == summary
    assert "<svg" in (tmp_path / "out" / "sweep.svg").read_text(encoding="utf-8")
    other = sweep(recordings, tmp_path / "out", "--epochs", "2")
    assert other.exit_code == 1
    assert "another settings" in other.stderr.splitlines()[-1]


def test_a_limit_that_no_trial_keeps_to_exits_4(recordings, tmp_path):
    missed = sweep(recordings, tmp_path / "out", "--max-load", "1e-9", "--trials", "1")
    assert missed.exit_code == 4, missed.output
    assert "none of 1 trials keeps to a load" in missed.stderr
    assert not list(Path(tmp_path / "out").glob("trial-*.pt"))


def test_the_lower_bound_of_a_given_model_does_not_vary(recordings, tmp_path):
    model = tmp_path / "a.pt"
    model.write_bytes(b"")
    refused = sweep(recordings, tmp_path / "out", "--model", model)
    assert refused.exit_code == 1
    assert "leave --model out" in refused.stderr
