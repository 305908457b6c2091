"""The HTML page in a real browser: no errors, live plots, figures as in report.json."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex.report import Report, build_report, write_report

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver  # noqa: E402 - only where it is installed
from selenium.webdriver.common.actions.action_builder import ActionBuilder  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
)
SECONDS = 30
# Where a point of a plot lies in the window, by the id of the plot's element.
PLACE = """
const plot = document.getElementById(arguments[0]).plot;
plot.svg.scrollIntoView({block: "center"});
const area = plot.svg.getBoundingClientRect();
const scale = area.width / plot.svg.viewBox.baseVal.width;
return [area.left + plot.toX(arguments[1]) * scale,
        area.top + plot.toY(arguments[2]) * scale].map(Math.round);
"""
VIEW = "const view = document.getElementById(arguments[0]).plot.view;"
RANGE = f"{VIEW} return [view.left, view.right];"
TIP = "return document.querySelector(`#${arguments[0]} .plot-tip`).innerText"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """A report, and the folder of its files."""
    rng = np.random.default_rng(1)
    program = two_core_program()
    recordings = {role: played(program, rng, role) for role in ("torch", "twin", "repeat")}
    inputs = [random_stream(rng, program.input.shape, 40) for _ in range(4)]
    report = build_report(program, recordings, input_events=inputs, synthetic=True)
    folder = tmp_path_factory.mktemp("report")
    write_report(report, folder)
    return report, folder


@pytest.fixture(scope="module")
def report(written: tuple[Report, Path]) -> Report:
    """The report that the page shows."""
    return written[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium with a fresh profile."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, written: tuple[Report, Path]) -> webdriver.Chrome:
    """The page, opened anew, its plots drawn."""
    browser.set_window_size(1200, 900)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.get((written[1] / "report.html").as_uri())
    WebDriverWait(browser, SECONDS).until(
        lambda chrome: chrome.execute_script("return document.documentElement.dataset.plots")
    )
    return browser


def cells(page: webdriver.Chrome, caption: str):
    """Return the texts of a table's body by its caption."""
    for table in page.find_elements(By.TAG_NAME, "table"):
        if table.find_element(By.TAG_NAME, "caption").get_attribute("textContent") == caption:
            rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
            return [
                [cell.get_attribute("textContent") for cell in row.find_elements(By.XPATH, "./*")]
                for row in rows
            ]
    raise LookupError(caption)


def point_at(page: webdriver.Chrome, place: list[int]):
    """Move the mouse to a place in the window, in two steps so that it is seen to move."""
    actions = ActionBuilder(page)
    actions.pointer_action.move_to_location(place[0] - 3, place[1])
    actions.pointer_action.pause(0.2)
    actions.pointer_action.move_to_location(*place)
    actions.perform()


def test_the_console_stays_free_of_errors(page: webdriver.Chrome):
    messages = [entry for entry in page.get_log("browser") if entry["level"] != "INFO"]
    assert messages == []


def test_nothing_is_loaded_beside_the_page(page: webdriver.Chrome):
    names = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in names if not name.startswith(("data:", "blob:"))] == []


def test_every_plot_is_drawn(page: webdriver.Chrome, report: Report):
    scatter, rasters = report.neurons.scatter, report.one_sample.rasters
    assert scatter
    assert rasters
    drawn = page.execute_script(
        "return [...document.querySelectorAll('.plot-svg')].filter((plot) =>"
        " plot.clientWidth > 100 && plot.querySelector('.plot-points').getBBox().width > 0).length"
    )
    assert drawn == len(scatter) + len(rasters)


def test_hovering_over_a_neuron_tells_its_counts(page: webdriver.Chrome, report: Report):
    identity, facts = "scatter-0", report.neurons.scatter[0]
    alone = int(np.lexsort((-facts.y, -facts.x))[0])
    x, y = int(facts.x[alone]), int(facts.y[alone])
    point_at(page, page.execute_script(PLACE, identity, x, y))
    address = ", ".join(map(str, np.unravel_index(facts.neuron[alone], facts.shape)))
    WebDriverWait(page, SECONDS).until(
        lambda chrome: f"({address})" in chrome.execute_script(TIP, identity)
    )
    text = page.execute_script(TIP, identity)
    assert f"{x} spikes" in text
    assert f"{y} spikes" in text


def test_keys_go_from_point_to_point_and_zoom(page: webdriver.Chrome, report: Report):
    identity, stream = "rasters-0", report.one_sample.rasters[0].streams
    frame = page.find_element(By.CSS_SELECTOR, f"#{identity} .plot-frame")
    whole = page.execute_script(RANGE, identity)
    frame.send_keys(Keys.ARROW_RIGHT)
    earliest = min(float(one.time_ms.min()) for one in stream.values())
    assert f"{earliest:.3f}".rstrip("0").rstrip(".") in page.execute_script(TIP, identity)
    frame.send_keys(Keys.ARROW_LEFT)  # before the first comes the last
    latest = max(float(one.time_ms.max()) for one in stream.values())
    assert f"{latest:.3f}".rstrip("0").rstrip(".") in page.execute_script(TIP, identity)
    frame.send_keys("+")
    low, high = page.execute_script(RANGE, identity)
    assert high - low == pytest.approx((whole[1] - whole[0]) / 2)
    frame.send_keys("0")
    assert page.execute_script(RANGE, identity) == whole


def test_a_name_above_a_plot_hides_its_recording(page: webdriver.Chrome):
    marks = "#rasters-0 .plot-points"
    before = len(page.find_elements(By.CSS_SELECTOR, marks))
    page.find_element(By.CSS_SELECTOR, "#rasters-0 .plot-key").send_keys(Keys.ENTER)
    assert len(page.find_elements(By.CSS_SELECTOR, marks)) == before - 1


def test_dragging_over_a_raster_zooms_into_it(page: webdriver.Chrome, report: Report):
    identity, facts = "rasters-0", report.one_sample.rasters[0]
    low, high = page.execute_script(RANGE, identity)
    neurons = facts.streams["twin"].neuron
    times = [low + share * (high - low) for share in (0.4, 0.6)]
    start = page.execute_script(PLACE, identity, times[0], int(neurons.min()))
    end = page.execute_script(PLACE, identity, times[1], int(neurons.max()))
    drag = ActionBuilder(page, duration=100)
    drag.pointer_action.move_to_location(*start).pointer_down().move_to_location(*end)
    drag.pointer_action.pointer_up()
    drag.perform()
    WebDriverWait(page, SECONDS).until(
        lambda chrome: chrome.execute_script(RANGE, identity) != [low, high]
    )
    zoomed = page.execute_script(RANGE, identity)
    pixel = (high - low) / 200
    assert zoomed == pytest.approx(times, abs=3 * pixel)


def test_the_tables_show_the_figures_of_report_json(
    page: webdriver.Chrome, written: tuple[Report, Path]
):
    facts = json.loads((written[1] / "report.json").read_text())
    rows = cells(page, f"Layers in network order, over {facts['samples']} samples")
    assert [row[0] for row in rows] == [layer["name"] for layer in facts["layers"]]
    assert [row[2] for row in rows] == [str(layer["spikes"]) for layer in facts["layers"]]
    shown = [float(row[4].removesuffix(" %")) for row in rows]
    expected = [100 * layer["spike_difference"] for layer in facts["layers"]]
    assert shown == pytest.approx(expected, abs=0.005)
    rungs = cells(
        page,
        "Accuracy and spike difference of each step against the one before, over"
        f" {facts['samples']} samples",
    )
    assert [row[1] for row in rungs] == [
        f"{100 * rung['accuracy']:.2f} %" for rung in facts["ladder"]
    ]
    words = page.find_element(By.CSS_SELECTOR, ".verdict").get_attribute("textContent")
    assert words == facts["verdict"]


def test_a_heading_sorts_the_samples_and_a_second_choice_turns_them_round(page: webdriver.Chrome):
    table = next(
        one
        for one in page.find_elements(By.CSS_SELECTOR, "table.sortable")
        if "Answers" in (one.get_attribute("textContent") or "")
    )
    headings = table.find_elements(By.TAG_NAME, "th")
    place = [one.get_attribute("textContent") for one in headings].index("spike diff.")
    button = headings[place].find_element(By.TAG_NAME, "button")
    for turned in (False, True):
        button.send_keys(Keys.ENTER)
        rows = cells(page, "Answers to each sample")
        shares = [float(row[place].removesuffix(" %")) for row in rows]
        assert shares == sorted(shares, reverse=turned)
        assert len(shares) > 1


def test_the_confusion_matrix_is_the_one_of_report_json(page: webdriver.Chrome, report: Report):
    rows = cells(page, "true class down, predicted class across")
    shown = [[int(cell or 0) for cell in row[1:]] for row in rows]
    assert shown == [list(row) for row in report.accuracies.confusion["torch"] or ()]


def set_width(page: webdriver.Chrome, width: int):
    """Let the page be as wide as a screen of that many px."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_the_page_never_scrolls_sideways(page: webdriver.Chrome, width: int):
    set_width(page, width)
    try:
        # Plots follow the width of the window a moment later.
        WebDriverWait(page, SECONDS).until(
            lambda chrome: chrome.execute_script(
                "return window.innerWidth === arguments[0]"
                " && document.documentElement.scrollWidth <= arguments[0]",
                width,
            )
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(color: str):
    """Return the relative luminance of a CSS colour (WCAG 2.2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


STATES = ("pass", "warn", "fail", "not known")
TEXTS = (
    "p",
    ".status",
    ".rule",
    ".steps span",
    "caption",
    "figcaption",
    "dt",
    "a",
    ".badge",
    "td",
    "h2",
    "h4",
    "thead th",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_in_both_schemes(page: webdriver.Chrome, scheme: str):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    script = (
        "const style = (name) => getComputedStyle(document.querySelector(name));"
        "return arguments[0].map((name) => [style(name).color,"
        " name === '.badge' ? style(name).backgroundColor : style('body').backgroundColor])"
    )
    for name, (ink, paper) in zip(TEXTS, page.execute_script(script, TEXTS), strict=True):
        bright, dim = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, name


def test_plots_take_the_colours_of_the_scheme(page: webdriver.Chrome):
    script = "return getComputedStyle(document.querySelector('.plot-points')).stroke"
    found = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        found.append(luminance(page.execute_script(script)))
    assert found[0] < found[1]


def test_every_tile_says_how_it_is_and_leads_to_its_section(page: webdriver.Chrome):
    tiles = page.find_elements(By.CSS_SELECTOR, ".tile")
    subjects = [tile.find_element(By.TAG_NAME, "h3").text for tile in tiles]
    assert subjects == ["Accuracy", "Spike difference", "Load", "Losses", "Silence"]
    for tile in tiles:
        assert tile.find_element(By.CSS_SELECTOR, ".status").text in STATES
        target = tile.find_element(By.CSS_SELECTOR, "h3 a").get_attribute("href") or ""
        assert page.find_elements(By.ID, target.partition("#")[2])


def test_a_narrow_page_shows_every_chart_whole(page: webdriver.Chrome):
    set_width(page, 390)
    try:
        places = page.execute_script(
            "return [...document.querySelectorAll('.chart, .plot-svg')].map((chart) => {"
            " const area = chart.getBoundingClientRect();"
            " return [area.left, area.right, area.height]; }).filter((area) => area[2] > 0)"
        )
        drawn = page.execute_script(
            "return document.querySelectorAll('.chart.narrow, .plot-svg').length"
        )
        assert len(places) == drawn > 4
        assert all(left >= 0 and right <= 390 for left, right, _ in places)
        small = page.execute_script(
            "return [...document.querySelectorAll('.chart.narrow text')].map((words) =>"
            " words.getBoundingClientRect().height)"
        )
        assert min(small) > 9  # px, as tall as letters of 9 px that one can read
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_first_tab_stop_skips_to_the_verdict(page: webdriver.Chrome):
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the verdict"
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.execute_script("return location.hash") == "#verdict"


def test_the_page_prints_black_on_white_and_fits_the_paper(page: webdriver.Chrome):
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    page.set_window_size(760, 900)
    script = "return getComputedStyle(document.body)[arguments[0]]"
    assert luminance(page.execute_script(script, "backgroundColor")) == 1
    assert luminance(page.execute_script(script, "color")) < 0.1
    WebDriverWait(page, SECONDS).until(
        lambda chrome: chrome.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        )
    )
    assert base64.b64decode(page.print_page()).startswith(b"%PDF")
