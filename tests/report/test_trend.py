"""Reports over time: what became worse, and what chance or the board itself does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_up import played, two_core_program
from scipy.stats import binomtest

from speckflex.cli import main
from speckflex.errors import SpeckflexError
from speckflex.recordings.measures import sign_test
from speckflex.recordings.recording import LayerRecord, Recording
from speckflex.report import Report, build_report, render_trend, trend_of_reports, write_report

N_SAMPLES = 40
PROGRAM = two_core_program()


def with_answers(recording: Recording, right: np.ndarray, factor: int = 1) -> Recording:
    """Return a recording that answers right where told, and wrong elsewhere; labels are 0."""
    counts = np.zeros((N_SAMPLES, *PROGRAM.cores[1].output_shape), np.int64)
    counts[np.arange(N_SAMPLES), np.where(right, 0, 1)] = 10 * factor
    last = LayerRecord(1, "fc", counts)
    labels = np.zeros(N_SAMPLES, np.int64)
    return replace(recording, layers=(recording.layers[0], last), labels=labels)


def report(n_right: int, *, factor: int = 1, noise: int | None = None) -> Report:
    """Return a report in which the twin has the first samples right, and torch all of them."""
    rng = np.random.default_rng(0)
    sure, right = np.ones(N_SAMPLES, bool), np.arange(N_SAMPLES) < n_right
    found = {
        "torch": with_answers(played(PROGRAM, rng, "torch", N_SAMPLES), sure),
        "twin": with_answers(played(PROGRAM, rng, "twin", N_SAMPLES), right, factor),
    }
    if noise is not None:
        found["repeat"] = with_answers(found["twin"], right, noise)
    return build_report(PROGRAM, found)


def judged(*reports: Report) -> dict[str, str]:
    trend = trend_of_reports({f"run{n}": one for n, one in enumerate(reports)})
    return {one.name: one.judgement for one in trend.figures}


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (6, 0), (5, 1), (3, 9), (40, 2)])
def test_the_sign_test_is_the_exact_binomial_test(worse: int, better: int):
    n = worse + better
    expected = binomtest(worse, n).pvalue if n else 1.0
    assert sign_test(worse, better) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("before", "after", "judgement"),
    # of samples that change one way, 5 are within chance (p = 0.0625), 6 beyond (0.03125)
    [(30, 25, "same"), (30, 24, "worse"), (24, 30, "better"), (30, 30, "same")],
)
def test_answers_to_the_same_samples_are_judged_in_pairs(before: int, after: int, judgement: str):
    assert judged(report(before), report(after))["accuracy of the twin"] == judgement


def test_only_the_last_is_judged_against_the_first():
    assert judged(report(30), report(10), report(30))["accuracy of the twin"] == "same"
    assert judged(report(30), report(29), report(10))["accuracy of the twin"] == "worse"


def test_a_spike_difference_within_the_noise_floor_is_no_change():
    # two plays differ by half, and the figure by less
    quiet = judged(report(40, factor=2, noise=3), report(40, factor=3, noise=4))
    loud = judged(report(40, factor=1, noise=1), report(40, factor=8, noise=8))
    assert quiet["spike difference"] == "same"
    assert loud["spike difference"] == "worse"


def test_a_layer_that_falls_silent_is_a_regression():
    last = report(30)
    silent = replace(last, silent_layers=("conv1",), spike_difference=None)
    found = judged(report(30), silent)
    assert found["silent layers"] == "worse"
    assert found["spike difference"] == "worse"


def test_other_samples_are_judged_by_the_interval_of_the_difference():
    fewer = report(39)
    alone = fewer.samples_alone.per_sample[:-1]
    other = replace(fewer, samples_alone=replace(fewer.samples_alone, per_sample=alone))
    assert judged(other, report(38))["accuracy of the twin"] == "same"
    assert judged(other, report(5))["accuracy of the twin"] == "worse"


def test_one_report_is_no_trend():
    with pytest.raises(SpeckflexError, match="1 report given: a trend needs two or more"):
        trend_of_reports({"a": report(1)})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two reports as `deploy --out` writes them; the second is worse."""
    folder = tmp_path_factory.mktemp("runs")
    for name, n_right in (("monday", 38), ("tuesday", 20)):
        write_report(report(n_right), folder / name)
    return [str(folder / name / "report.json") for name in ("monday", "tuesday")]


def test_the_command_fails_where_a_figure_became_worse(files: list[str]):
    done = CliRunner().invoke(main, ["compare", *files])
    assert done.exit_code == 4
    assert "missed: accuracy of the twin went from 95.00 % to 50.00 %" in done.stderr
    assert CliRunner().invoke(main, ["compare", *files[::-1]]).exit_code == 0


def test_json_says_what_became_worse(files: list[str]):
    facts = json.loads(CliRunner().invoke(main, ["compare", "--json", *files]).stdout)
    accuracy = next(one for one in facts["figures"] if one["name"] == "accuracy of the twin")
    assert accuracy["values"] == [0.95, 0.5]
    assert accuracy["judgement"] == "worse"
    assert facts["passed"] is False
    assert facts["regressions"]


def test_markdown_and_page_carry_the_figures(files: list[str], tmp_path: Path):
    for form in ("md", "html"):
        path = tmp_path / f"trend.{form}"
        CliRunner().invoke(main, ["compare", *files, "--format", form, "-o", str(path)])
        text = path.read_text(encoding="utf-8")
        assert "95.00 %" in text
        assert "50.00 %" in text
        assert len(text) < 100_000
    assert "default-src 'none'" in text


def test_metrics_files_are_shown_and_not_judged(tmp_path: Path):
    for name, value in (("a", 0.1), ("b", 0.9)):
        lines = [{"test": "t::x", "board": "twin", "spike_difference": v} for v in (0.5, value)]
        text = "".join(json.dumps(one) + "\n" for one in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(
        main, ["compare", "--json", *(str(tmp_path / f"{name}.jsonl") for name in "ab")]
    )
    assert done.exit_code == 0
    figures = json.loads(done.stdout)["figures"]
    assert [(one["name"], one["values"]) for one in figures] == [
        ("t::x: spike_difference", [0.1, 0.9])
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["monday"], "two or more reports, 1 given"),
        (["monday", "monday"], "the same file is given twice"),
        (["monday", "tuesday", "--format", "csv"], "a trend has no CSV"),
        (["monday", "tuesday", "--max-spike-difference", "1"], "is for recordings"),
    ],
)
def test_misuse_is_said_in_one_line(files: list[str], arguments: list[str], words: str):
    named = {"monday": files[0], "tuesday": files[1]}
    done = CliRunner().invoke(main, ["compare", *(named.get(one, one) for one in arguments)])
    assert done.exit_code == 2
    assert words in done.stderr


def test_hostile_names_stay_text():
    trend = trend_of_reports({"<script>": report(3), "b|c": report(3)})
    assert "<td>&lt;script&gt;</td>" in render_trend(trend, "html")
    assert "\\<script\\>" in render_trend(trend, "md")
