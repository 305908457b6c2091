"""The HTML page as text: whole, self-contained, accessible, and safe against hostile names."""

import base64
import json
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex import Recording
from speckflex.fitting.checks import Check
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
from speckflex.recordings.recording import LayerRecord, Provenance, SampleLog
from speckflex.report import Report, build_report, render_html, render_json
from speckflex.report._as_json import from_plain
from speckflex.report.charts._pixels import difference_image, frame_images, png_uri
from speckflex.report.facts import DataFacts, RunFacts

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"
VOID = {"meta", "link", "img", "br", "hr", "input"}
MEGABYTE = 10**6


class Page(HTMLParser):
    """The elements of a page, checked to be closed in the order in which they opened."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: Any):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str):
        assert self._open.pop() == tag

    def handle_data(self, data: str):
        tag, attributes = self.elements[-1] if self.elements else ("", {})
        name = attributes.get("id", tag)
        self.texts[name] = self.texts.get(name, "") + data

    def all(self, tag: str) -> list[dict]:
        """Return the attributes of every element of a kind."""
        return [attributes for found, attributes in self.elements if found == tag]


def full_report(rng: np.random.Generator, name: str = "conv1", **run: Any):
    """Return a report of every role; `run` is about how it ran, see `RunFacts`."""
    program = two_core_program(name)
    roles = ("torch", "twin", "chip", "repeat")
    recordings = {role: played(program, rng, role) for role in roles}
    inputs = [random_stream(rng, program.input.shape, 40) for _ in range(4)]
    checks = [Check(name, "warning", "8-bit error", "its weights are 3 % off", 0.03, remedy=name)]
    report = build_report(
        program, recordings, input_events=inputs, checks=checks, synthetic=True, command=name
    )
    if not run:
        return report
    facts = {"model": "m", "data": DataFacts("n", ("a", "b", "c")), "board_asked": "twin", **run}
    return replace(report, run=RunFacts(**facts))


def test_every_element_is_closed_and_every_link_has_a_target(rng: np.random.Generator):
    page = Page(render_html(full_report(rng)))
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    for link in page.all("a"):
        assert link["href"].removeprefix("#") in identities
    for section in page.all("section"):
        assert section["aria-labelledby"] in identities


def test_headings_descend_without_a_gap(rng: np.random.Generator):
    page = Page(render_html(full_report(rng)))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_picture_has_a_text(rng: np.random.Generator):
    page = Page(render_html(full_report(rng)))
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("svg")) == 8  # four charts, for wide and for narrow pages
    assert all(picture["aria-label"] for picture in page.all("svg"))
    plots = [part for part in page.all("div") if part.get("class") == "plot"]
    assert plots
    assert all(plot["data-label"] for plot in plots)


def test_nothing_is_fetched_from_elsewhere(rng: np.random.Generator):
    text = render_html(full_report(rng))
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value)
    assert "default-src 'none'" in text
    assert "@import" not in page.texts["style"]
    assert "url(" not in page.texts["style"]


@pytest.mark.parametrize("context", [{}, {"model": HOSTILE, "board_note": HOSTILE}])
def test_hostile_names_stay_text(context: dict):
    run = context and {"model": "a", "board_note": "b"}
    plain = Page(render_html(full_report(np.random.default_rng(1), **run)))
    text = render_html(full_report(np.random.default_rng(1), HOSTILE, **context))
    page = Page(text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "{{ 7*7 }}" in text


def test_a_hostile_data_set_stays_text():
    data = DataFacts(HOSTILE, (HOSTILE, "b", "c"))
    plain = DataFacts("n", ("a", "b", "c"))
    page = Page(render_html(full_report(np.random.default_rng(1), data=data)))
    expected = Page(render_html(full_report(np.random.default_rng(1), data=plain)))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected.elements]


def test_a_sample_with_different_answers_opens_to_input_spikes_and_first_difference(
    rng: np.random.Generator,
):
    report = full_report(rng)
    differing = report.samples_alone.differing
    text = render_html(report)
    page = Page(text)
    opened = [one for one in page.all("details") if one.get("class") == "opened"]
    # the settings of each recording open too
    assert len(opened) == len(differing) + len(report.role_names)
    assert differing
    for sample in differing:
        assert f"Output spikes of the chip in sample {sample.sample}" in text
        assert f"Frame 6 of 6 of sample {sample.sample}" in text
        assert f"sample {sample.sample}, event" in text or f"sample {sample.sample}, up" in text
    assert any("sortable" in table.get("class", "") for table in page.all("table"))


def test_the_page_carries_report_json(rng: np.random.Generator):
    report = full_report(rng, HOSTILE)
    page = Page(render_html(report))
    assert json.loads(page.texts["report-json"]) == json.loads(render_json(report))


def test_synthetic_data_and_the_missing_chip_are_said_on_top(rng: np.random.Generator):
    note = "no speck2e is attached, so its software twin runs instead"
    text = render_html(full_report(rng, board_note=note))
    assert text.index("synthetic data: no camera") < text.index("<main>")
    assert text.index(note) < text.index("<main>")


def test_a_report_read_back_from_json_still_makes_a_page(rng: np.random.Generator):
    report = from_plain(Report, json.loads(render_json(full_report(rng))))
    text = render_html(report)
    assert report.verdict in text
    assert len(text) < MEGABYTE


def test_recordings_without_program_labels_or_events_make_a_page(rng: np.random.Generator):
    recording = played(two_core_program(), rng, "twin").without_events()
    bare = Recording(recording.layers, 2, recording.samples, recording.provenance)
    text = render_html(build_report(None, {"a.h5": bare, "b.h5": bare}))
    page = Page(text)
    assert "there is no accuracy to show" in text
    assert "there is no raster to draw" in text
    assert "cores, memories and work are not known" in text
    assert page.all("img")


def test_one_recording_alone_makes_a_page(rng: np.random.Generator):
    program = two_core_program()
    text = render_html(build_report(program, {"twin": played(program, rng, "twin")}))
    assert "there is nothing to compare" in text
    Page(text)


def large_program(n_cores: int):
    cores = [
        Core(f"conv{i}", np.ones((64, 64, 1, 1)), 9, -9, (64, 20, 20), chip_core=None)
        for i in range(n_cores)
    ]
    return Program(tuple(cores), InputStage((64, 20, 20)), chip="unbounded")


def test_a_busy_network_stays_below_three_megabytes(rng: np.random.Generator):
    program = large_program(8)
    layers = {role: busy_recording(program, rng, role) for role in ("torch", "twin", "chip")}
    text = render_html(build_report(program, layers))
    assert len(text.encode()) < 3 * MEGABYTE


def test_a_report_of_200_layers_1000_samples_and_64_classes_stays_below_three_megabytes(
    rng: np.random.Generator,
):
    layers = [
        Core(f"layer{index}", np.full((1, 1, 1, 1), 9), 9, -9, (1, 2, 2)) for index in range(199)
    ]
    layers.append(Core("classes", np.ones((64, 1, 2, 2)), 9, -9, (1, 2, 2)))
    program = Program(tuple(layers), InputStage((1, 2, 2)), chip="unbounded")
    recordings = {role: long_recording(program, rng, role) for role in ("torch", "twin")}
    report = build_report(program, recordings)
    # the page carries the facts of report.json too
    assert len(render_html(report).encode()) < 3 * MEGABYTE


def long_recording(program: Program, rng: np.random.Generator, kind: str):
    """Return the counts of 1000 samples, and the spikes of the first one over 50 ms."""
    layers = []
    for index, core in enumerate(program.cores):
        first = random_stream(rng, core.output_shape, 400)
        counts = rng.poisson(3, (1000, *core.output_shape))
        counts[0] = 0
        np.add.at(counts[0], (first["p"], first["y"], first["x"]), 1)
        layers.append(LayerRecord(index, core.name, counts, (first,)))
    origin = Provenance(program.sha256, f"{kind}:0", kind)
    labels = np.arange(1000) % 64
    return Recording(tuple(layers), len(layers), (SampleLog(9, 9, 9),) * 1000, origin, labels)


def busy_recording(program: Program, rng: np.random.Generator, kind: str):
    """Return 20 000 spikes in each layer of each sample."""
    parts = played(program, rng, kind, 2)
    streams = [random_stream(rng, (64, 20, 20), 20_000) for _ in range(2)]
    layers = [
        type(layer)(i, layer.name, rng.integers(0, 500, layer.counts.shape), tuple(streams))
        for i, layer in enumerate(parts.layers)
    ]
    return Recording(tuple(layers), len(layers), parts.samples, parts.provenance, parts.labels)


def decoded(uri: str):
    """Return the pixels of a PNG of red, green, blue and opacity (PNG 1.2, sections 3 to 6)."""
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    data, at, size = b"", 8, (0, 0)
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", content[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, *rest = struct.unpack(">IIBBBBB", body)
            assert rest == [8, 6, 0, 0, 0]  # 8 bits, RGBA, not interlaced
            size = (height, width)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[0], -1)
    return unfiltered(rows[:, 0], rows[:, 1:]).reshape(*size, 4)


def unfiltered(filters: np.ndarray, rows: np.ndarray):
    """Return the bytes of each row from their differences to neighbours (PNG 1.2, section 6)."""
    above = [0] * (4 + rows.shape[1])
    found = []
    for kind, row in zip(filters, rows.tolist(), strict=True):
        line = [0] * 4
        for place, byte in enumerate(row, start=4):
            left, up, corner = line[place - 4], above[place], above[place - 4]
            nearest = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
            line.append((byte + (0, left, up, (left + up) // 2, nearest)[kind]) % 256)
        above = line
        found.append(line[4:])
    return np.array(found, np.uint8)


def test_a_png_holds_its_pixels(rng: np.random.Generator):
    pixels = rng.integers(0, 256, (5, 7, 4)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png_uri(pixels)), pixels)


def test_a_difference_map_is_orange_above_and_blue_below_zero():
    image = difference_image(np.array([[[4.0, 0.0, -1.0]]]))
    more, none, fewer = image[0]
    assert more[0] > more[2]
    assert fewer[2] > fewer[0]
    # Opacity is the root of the share of the largest difference.
    assert (more[3], none[3], fewer[3]) == (255, 0, 128)


def test_channels_lie_side_by_side_with_a_gap():
    image = difference_image(np.ones((2, 3, 3)))
    assert image.shape == (3, 7, 4)
    assert (image[:, 3, :3] == 128).all()


def test_a_frame_shows_the_leading_polarity():
    frame = np.zeros((1, 2, 1, 2))
    frame[0, 0, 0, 0], frame[0, 1, 0, 1] = 3, 3
    (image,) = frame_images(frame)
    assert image[0, 0, 2] > image[0, 0, 0]
    assert image[0, 1, 0] > image[0, 1, 2]
