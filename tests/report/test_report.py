"""The facts of a report and their renderings as JSON, text, Markdown and CSV."""

import csv
import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex import Recording, compare
from speckflex.analysis.core_load import measure_load
from speckflex.chips.speck import SPECK2E
from speckflex.errors import ComparisonError, FileFormatError
from speckflex.events.streams import make_events
from speckflex.fitting.checks import Check
from speckflex.program.program import Program
from speckflex.recordings.recording import LayerRecord, Provenance, SampleLog
from speckflex.report import (
    Report,
    build_report,
    read_report,
    render_csv,
    render_json,
    render_markdown,
    render_text,
    write_report,
)
from speckflex.report._as_csv import render_samples_csv
from speckflex.report._as_json import from_plain, plain
from speckflex.report.bars import Bars
from speckflex.report.build import report_of
from speckflex.report.evidence import gather_evidence
from speckflex.report.facts import DataFacts, RunFacts
from speckflex.report.sections._load import CoreLoads
from speckflex.report.spelling import milliseconds, percent

HOSTILE = "<script>alert('x')</script> | `*_[a](javascript:1)"


@pytest.fixture
def program() -> Program:
    return two_core_program()


@pytest.fixture
def recordings(program: Program, rng: np.random.Generator) -> dict[str, Recording]:
    return {kind: played(program, rng, kind) for kind in ("torch", "twin")}


@pytest.fixture
def inputs(program: Program, rng: np.random.Generator) -> list[np.ndarray]:
    return [random_stream(rng, program.input.shape, 40) for _ in range(4)]


def test_the_report_holds_what_scripts_rely_on(
    program: Program, recordings: dict[str, Recording], inputs: list[np.ndarray]
):
    report = build_report(program, recordings, input_events=inputs)
    assert report.schema == 2
    assert report.program.sha256 == program.sha256
    assert report.board == "twin:0"
    assert report.synthetic is False
    assert report.samples == 4
    assert report.lost_events == 8
    assert set(report.accuracies.accuracy) == {"torch", "twin", "chip"}
    assert report.accuracies.accuracy["chip"] is None
    for name in ("core", "spikes", "spike_difference", "cosine", "synops_per_second_peak"):
        assert all(getattr(layer, name) is not None for layer in report.layers)


def test_figures_are_those_of_compare(program: Program, recordings: dict[str, Recording]):
    report = build_report(program, recordings)
    difference = compare(recordings["twin"], recordings["torch"])
    assert report.spike_difference == difference.spike_difference
    for row, layer in zip(report.layers, difference.layers, strict=True):
        assert row.spike_difference == layer.spike_difference
        assert row.cosine == layer.cosine
        assert row.spikes == layer.spikes_a
    assert report.accuracies.accuracy["torch"] == recordings["torch"].accuracy()


def test_memory_is_held_against_the_core_it_lies_on(
    program: Program, recordings: dict[str, Recording]
):
    first, last = build_report(program, recordings).layers
    # Datasheet 3.2.4.1: 1 * 2^(ceil(log2 9) + ceil(log2 2)) and 2 * 2^(3 + 3).
    assert (first.kernel_memory, first.neuron_memory) == (32, 128)
    assert first.cost.kernel_limit == SPECK2E.cores[2].kernel_words
    assert last.cost.weights_saturated == last.cost.weights_above_threshold == 1


def test_the_chip_is_the_reference_where_there_is_one(
    program: Program, recordings: dict[str, Recording], rng: np.random.Generator
):
    report = build_report(program, {**recordings, "chip": played(program, rng, "chip")})
    pairs = [(c.reference, c.other) for c in report.comparisons]
    assert pairs == [("chip", "torch"), ("chip", "twin"), ("twin", "torch")]
    assert (report.reference, report.compared) == ("chip", "torch")
    assert report.board == "chip:0"


def test_a_repeated_run_gives_the_noise_floor(
    program: Program, recordings: dict[str, Recording], rng: np.random.Generator
):
    repeat = played(program, rng, "twin")
    report = build_report(program, {**recordings, "repeat": repeat})
    floor = compare(recordings["twin"], repeat)
    assert report.noise_floor == floor.spike_difference
    assert [row.noise_floor for row in report.layers] == [
        layer.spike_difference for layer in floor.layers
    ]
    assert len(report.comparisons) == 1


def test_one_recording_alone_makes_a_report(program: Program, recordings: dict[str, Recording]):
    report = build_report(program, {"twin": recordings["twin"]})
    assert report.spike_difference is None
    assert report.comparisons == ()
    assert "classified correctly: the twin" in report.verdict


def test_recordings_without_a_program_make_a_report(recordings: dict[str, Recording]):
    report = build_report(None, {"a.h5": recordings["torch"], "b.h5": recordings["twin"]})
    assert report.spike_difference is not None
    assert report.layers[0].kernel_memory is None
    assert "With a.h5 as the reference, the spike difference of b.h5 is" in report.verdict
    for render in (render_json, render_text, render_markdown, render_csv):
        assert render(report)


def test_a_recording_of_another_program_is_refused(recordings: dict[str, Recording]):
    with pytest.raises(ComparisonError, match="torch is a recording of program"):
        build_report(two_core_program("other"), recordings)


def test_the_text_lines_up_its_columns(program: Program, recordings: dict[str, Recording]):
    text = render_text(build_report(program, recordings, synthetic=True))
    # what does not fit 80 columns follows below
    parts = text.split("\n\n")
    verdict, ladder, samples, layers, _memory, divergence, work, _peaks, synthetic = parts
    assert verdict.startswith("On 4 synthetic samples")
    title, *rows = layers.splitlines()
    assert title == "spikes over 4 samples; the reference is the twin"
    assert [line.split()[0] for line in rows] == ["layer", "conv1", "fc"]
    assert len({len(line) for line in rows}) == 1
    assert ladder.splitlines()[0] == "each step against the one before, over 4 samples"
    assert ladder.splitlines()[2].startswith("as trained")
    assert "with different answers" in samples.splitlines()[0]
    assert work.startswith("work of the cores, over 4 samples\nlayer")
    assert divergence.startswith("First divergence: layer conv1, sample")
    assert synthetic.startswith("synthetic: the samples are simulated")


def test_without_any_recording_there_is_no_report(program: Program):
    with pytest.raises(ComparisonError, match="no recording to report on"):
        build_report(program, {})


def test_losses_of_a_board_that_does_not_count_them_are_estimated_from_two_plays(
    program: Program, recordings: dict[str, Recording], rng: np.random.Generator
):
    chip, repeat = (played(program, rng, "chip") for _ in range(2))
    report = build_report(program, {**recordings, "chip": chip, "repeat": repeat})
    lost = report.lost.losses["chip"]
    squares = sum(((chip.counts(n) - repeat.counts(n)) ** 2).sum() for n in range(2))
    total = sum((chip.counts(n) + repeat.counts(n)).sum() for n in range(2))
    assert lost.estimate is not None
    assert lost.estimate.share == squares / total
    assert "4 known lost on the chip, which does not count all losses" in report.verdict
    assert "no counter tells" in render_text(report)
    assert "no counter tells" in render_markdown(report)


def test_output_that_comes_twice_is_warned_of(program: Program, recordings: dict[str, Recording]):
    def doubled(record: Any):
        twice = tuple(np.sort(np.repeat(one, 2), order="t") for one in record.events)
        return replace(record, events=twice, counts=2 * record.counts)

    twin = recordings["twin"]
    chip = replace(
        twin,
        layers=tuple(map(doubled, twin.layers)),
        provenance=replace(twin.provenance, kind="chip", board="chip:0"),
    )
    text = render_text(build_report(program, {**recordings, "chip": chip}))
    spikes = sum(int(twin.counts(n).sum()) for n in range(2))
    assert "warning: the chip sends spikes twice" in text
    assert f"{spikes} spikes repeat" in text
    assert "spikes twice" not in render_text(build_report(program, recordings))


def test_a_few_samples_without_labels_are_answered_in_the_verdict(program: Program):
    def answering(scores: list[int], kind: str):
        counts = np.array(scores)[None, :, None, None]
        layers = (
            LayerRecord(0, "conv1", np.ones((1, 2, 6, 6), int)),
            LayerRecord(1, "fc", counts),
        )
        origin = Provenance(program.sha256, f"{kind}:0", kind)
        return Recording(layers, 2, (SampleLog(1, 1, 1, stopped="silence"),), origin)

    both = {"torch": answering([0, 0, 0], "torch"), "twin": answering([11, 41, 40], "twin")}
    report = build_report(program, both)
    assert "Twin: class 1 (41 of 92 output spikes), torch: no answer." in report.verdict
    (sample,) = report.samples_alone.per_sample
    assert (sample.torch, sample.twin, sample.chip, sample.label) == (None, 1, None, None)
    assert (sample.agree, sample.margins) == (False, {"torch": None, "twin": 1})
    (row,) = csv.DictReader(io.StringIO(render_samples_csv(report)))
    assert row["margin_twin"] == "1"
    assert row["stopped"] == "silence"
    assert "none" in render_text(report)


def test_a_bar_for_a_figure_without_a_value_is_missed(
    program: Program, recordings: dict[str, Recording]
):
    alone = {"twin": recordings["twin"].with_labels([-1] * 4)}
    evidence = replace(gather_evidence(program, alone), bars=Bars(0.1, 0.1))
    report = report_of(evidence)
    assert not report.passed
    assert ["no value" in sentence for sentence in report.missed] == [True, True]
    assert report.verdict.startswith("A bar is missed: ")
    assert build_report(program, alone).passed


def test_equal_recordings_are_said_to_be_equal(program: Program, recordings: dict[str, Recording]):
    twin = recordings["twin"]
    report = build_report(program, {"torch": twin, "twin": twin})
    assert "The torch network and the twin are equal in every layer." in report.verdict
    assert report.comparisons[0].first_divergence is None


def test_the_verdict_carries_the_figures(program: Program, recordings: dict[str, Recording]):
    report = build_report(program, recordings, synthetic=True)
    assert report.verdict.startswith(
        "On 4 synthetic samples, classified correctly: the torch network"
    )
    spikes = {role: int(one.counts(-1).sum()) for role, one in recordings.items()}
    assert f"(layer fc) the twin sends {spikes['twin']} spikes" in report.verdict
    assert f"the torch network ({spikes['torch']})" in report.verdict
    assert report.spike_ratio == spikes["torch"] / spikes["twin"]
    assert f"{100 * report.spike_difference:.2f} %" in report.verdict
    assert "4 known lost on the twin" in report.verdict


def test_the_verdict_holds_the_chip_against_twin_and_itself(
    program: Program, recordings: dict[str, Recording], rng: np.random.Generator
):
    four = {**recordings, **{role: played(program, rng, role) for role in ("chip", "repeat")}}
    report = build_report(program, four)
    twin = compare(four["chip"], recordings["twin"]).spike_difference
    assert twin is not None
    assert f"that of the twin {100 * twin:.2f} %" in report.verdict
    assert f"the chip from itself {100 * report.noise_floor:.2f} %" in report.verdict
    for render in (render_text, render_markdown):
        assert "noise floor" in render(report)
        assert "the twin against the chip" in render(report)


def silenced(recording: Recording, sample: int) -> Recording:
    """The same recording, its output silent in one sample."""
    *front, last = recording.without_events().layers
    counts = last.counts.copy()
    counts[sample] = 0
    return replace(recording, layers=(*front, replace(last, counts=counts, events=None)))


def test_samples_without_an_output_are_counted_in_the_verdict(
    program: Program, recordings: dict[str, Recording]
):
    torch = recordings["torch"]
    both = {"torch": torch, "twin": silenced(recordings["twin"], 2)}
    report = build_report(program, both)
    by_hand = int((torch.counts(-1).sum(axis=(1, 2, 3)) == 0).sum())
    assert report.accuracies.silent_outputs["torch"] == by_hand
    assert report.accuracies.silent_outputs["twin"] >= 1
    assert f"{report.accuracies.silent_outputs['twin']} of the twin" in report.verdict


def test_a_difference_in_front_of_an_output_of_potentials_is_not_called_the_outputs(
    program: Program, recordings: dict[str, Recording]
):
    read = {}
    for role, recording in recordings.items():
        *front, last = recording.layers
        potentials = np.ones(last.counts.shape, np.int64)
        last = replace(last, counts=0 * last.counts, events=None, potentials=potentials)
        read[role] = replace(recording, layers=(*front, last))
    verdict = build_report(program, read).verdict
    name = recordings["twin"].layers[-2].name
    assert f"In the last layer that spikes (layer {name})" in verdict
    assert "the output" not in verdict


@pytest.mark.parametrize("render", [render_text, render_markdown])
def test_warnings_of_the_conversion_are_in_every_text(
    render: Any, program: Program, recordings: dict[str, Recording]
):
    warning = Check("", "warning", "folding", "biases go", remedy="train on")
    note = Check("conv1", "note", "8-bit error", "hardly any")
    report = build_report(program, recordings, checks=[warning, note])
    text = render(replace(report, run=RunFacts("m.pt", DataFacts("d", ()), "twin")))
    assert "warning: the network: biases go: train on" in text
    assert "hardly any" not in text


def test_other_inputs_are_in_the_verdict(program: Program, recordings: dict[str, Recording]):
    hashed = {
        role: replace(r, samples=tuple(replace(log, input_sha256=role) for log in r.samples))
        for role, r in recordings.items()
    }
    report = build_report(program, hashed)
    assert "4 samples were not played with the same events" in report.verdict


def test_work_beyond_the_limit_is_in_the_verdict(
    program: Program, recordings: dict[str, Recording]
):
    burst = make_events(np.zeros(20_000), np.full(20_000, 3), np.full(20_000, 3), np.zeros(20_000))
    report = build_report(program, recordings, input_events=[burst])
    # 20 000 events of 2 * 9 operations in one window of 10 ms.
    assert report.layers[0].synops_per_second_peak == 20_000 * 18 / 0.010
    assert "At the peak, layer conv1 needs more than the 10 million" in report.verdict


def test_the_load_of_the_cores_is_in_every_text(
    program: Program, recordings: dict[str, Recording], inputs: list[np.ndarray]
):
    loads = measure_load(program, inputs, synops_per_second=1e3)
    report = build_report(program, recordings, input_events=inputs)
    report = replace(report, core_loads=CoreLoads(loads, len(inputs), 1e3, None))
    assert loads[0].input_wait > 10_000
    for text in (render_text(report), render_markdown(report)):
        for word in ("stalled", "input held up", f"{loads[0].input_wait / 1000:.3g} ms"):
            assert word in text
        assert loads[0].verdict in text


def no_constants(name: str):
    raise AssertionError(f"{name} is no strict JSON")


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (7.6, "0.0076 ms"),
        (7_749, "7.75 ms"),
        (99_960, "100 ms"),
        (632_600, "633 ms"),
        (1_049_000, "1050 ms"),
        (53_790_000, "53800 ms"),
    ],
)
def test_durations_have_three_digits_and_no_exponent(microseconds: float | None, text: str):
    assert milliseconds(microseconds) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (None, 2, "-"),
        (0.0, 2, "0.00 %"),
        (0.00004, 2, "< 0.01 %"),
        (0.0001, 2, "0.01 %"),
        (0.12345, 2, "12.35 %"),
        (0.004, 0, "< 1 %"),
        (1.0, 0, "100 %"),
    ],
)
def test_a_share_that_is_not_0_is_not_shown_as_0(share: float | None, digits: int, text: str):
    assert percent(share, digits) == text


def test_json_is_strict_and_comes_back(program: Program, recordings: dict[str, Recording]):
    silent = recordings["torch"]
    silent = replace(
        silent, layers=tuple(replace(r, counts=0 * r.counts, events=None) for r in silent.layers)
    )
    report = build_report(program, {"torch": silent, "twin": recordings["twin"]})
    text = render_json(report)
    facts = json.loads(text, parse_constant=no_constants)
    assert facts["spike_ratio"] == 0
    assert from_plain(Report, facts) == report


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (np.float32("inf"), None),
        (np.int16(3), 3),
        (np.array([[1.5, float("nan")]]), [[1.5, None]]),
        ({1: (True, None)}, {"1": [True, None]}),
        (
            SampleLog(1, 2, 3),
            asdict(SampleLog(1, 2, 3)),
        ),
        (Path("a"), "a"),
    ],
)
def test_every_value_becomes_plain_json(value: Any, expected: Any):
    assert plain(value) == expected


def test_the_csv_has_one_line_a_layer(program: Program, recordings: dict[str, Recording]):
    report = build_report(program, recordings)
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert [row["name"] for row in rows] == ["conv1", "fc"]
    assert float(rows[0]["spike_difference"]) == report.layers[0].spike_difference


def test_the_files_of_one_run_share_its_identifier(
    program: Program, recordings: dict[str, Recording], tmp_path: Path
):
    def of_run(recording: Recording, run: str) -> Recording:
        return replace(recording, provenance=replace(recording.provenance, settings={"run": run}))

    both = {role: of_run(recording, "0f0f0f") for role, recording in recordings.items()}
    folder = tmp_path / "one"
    write_report(build_report(program, both), folder)
    assert read_report(folder / "report.json").run_id == "0f0f0f"
    assert "\n\nrun 0f0f0f · program" in (folder / "report.md").read_text(encoding="utf-8")
    for name, n_rows in (("layers.csv", 2), ("samples.csv", 4)):
        with (folder / name).open(newline="") as file:
            assert [row["run"] for row in csv.DictReader(file)] == ["0f0f0f"] * n_rows
    mixed = build_report(program, {**both, "twin": of_run(both["twin"], "other")})
    assert mixed.run_id == ""
    assert "run other" not in render_markdown(mixed)


@pytest.mark.parametrize(
    ("places", "value"),
    [
        (("samples",), "four"),
        (("samples",), True),
        (("verdict",), 3),
        (("layers", 0, "name"), None),
        (("layers", 0, "spikes_by_role"), [1]),
        (("layers", 0, "spike_difference"), "0.1"),
        (("accuracy", "twin"), [0.5]),
        (("role_names",), "torch"),
        (("layers",), "layers"),
        (("layers",), {"0": 1}),
        (("played",), "nobody"),
        (("comparisons", 0, "reference"), 7),
        (("passed",), "yes"),
    ],
)
def test_a_report_with_a_value_of_another_type_is_refused_in_one_line(
    program: Program, recordings: dict[str, Recording], tmp_path: Path, places: tuple, value: Any
):
    facts = json.loads(render_json(build_report(program, recordings)))
    part = facts
    for place in places[:-1]:
        part = part[place]
    assert part[places[-1]] is not None
    part[places[-1]] = value
    (tmp_path / "changed.json").write_text(json.dumps(facts))
    with pytest.raises(FileFormatError, match="is an incomplete report"):
        read_report(tmp_path / "changed.json")


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "9" * 5000, "\xff", "[1e999]", "NaN"])
def test_a_report_that_is_no_json_is_refused_in_one_line(tmp_path: Path, content: str):
    (tmp_path / "changed.json").write_text(content, encoding="latin1")
    with pytest.raises(FileFormatError, match=r"JSON|no report"):
        read_report(tmp_path / "changed.json")


def test_texts_of_a_report_file_steer_no_terminal(
    program: Program, recordings: dict[str, Recording], tmp_path: Path
):
    facts = json.loads(render_json(build_report(program, recordings)))
    facts["verdict"] = "\x1b[2Jclear \u202e"
    (tmp_path / "changed.json").write_text(json.dumps(facts))
    assert read_report(tmp_path / "changed.json").verdict == r"\x1b[2Jclear \u202e"


def test_names_can_not_break_out_of_markdown(rng: np.random.Generator):
    program = two_core_program(HOSTILE)
    both = {kind: played(program, rng, kind) for kind in ("torch", "twin")}
    text = render_markdown(build_report(program, both))
    assert "<script>" not in text.replace("\\<", "")
    rows = [line for line in text.splitlines() if line.startswith("|") and "alert" in line]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 9


def test_the_markdown_names_program_board_and_losses(
    program: Program, recordings: dict[str, Recording]
):
    text = render_markdown(build_report(program, recordings, synthetic=True))
    assert "(synthetic data)" in text
    assert f"`{program.sha256[:12]}`" in text
    assert "8 events known lost" in text


def test_all_files_are_written(tmp_path: Path, program: Program, recordings: dict[str, Recording]):
    report = build_report(program, recordings)
    written = write_report(report, tmp_path / "out")
    assert sorted(path.name for path in written) == sorted(
        path.name for path in (tmp_path / "out").iterdir()
    )
    assert read_report(tmp_path / "out" / "report.json") == report


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "as JSON"),
        ("[1]", "it has no schema number"),
        ('{"schema": 1}', "schema 1, written by an older version"),
        ('{"schema": 3}', "schema 3, written by a newer version"),
        ('{"schema": true}', "it has no schema number"),
        ('{"schema": 2}', "'speckflex'"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: str, problem: str):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(FileFormatError, match=problem):
        read_report(path)


def test_a_folder_that_is_a_file_is_refused(
    tmp_path: Path, program: Program, recordings: dict[str, Recording]
):
    (tmp_path / "out").write_text("")
    with pytest.raises(FileFormatError, match="can't be written"):
        write_report(build_report(program, recordings), tmp_path / "out")
