"""The documentation: every code block runs, every page builds, no page loads from a network."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import fields
from importlib.util import find_spec

import pytest
from documentation import DOCS, ROOT, RUN, SHOWN, blocks, is_printed, pages, run_page
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

import speckflex as sf
from speckflex.chips.speck import SPECK2E
from speckflex.twin.settings import TwinSettings

QUICKSTART = DOCS / "quickstart.md"
PAGES = pages()
OTHERS = [page for page in PAGES if any(b.language in RUN and not b.reason for b in blocks(page))]
NOT_RUN = [block for page in PAGES for block in blocks(page) if block.reason]
SECONDS = 60  # for a page and its index, on a busy machine
# The pages that the search shows; its box is a tree of its own in the page.
FOUND = """
const trees = [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean)
return trees.flatMap((tree) => [...tree.querySelectorAll("a")].map((a) => a.href)).join(" ")
"""
EXTERNAL = re.compile(r'<(?:script|img|link|iframe|source)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')


@pytest.fixture(scope="module")
def after_quickstart(tmp_path_factory):
    """The folder that a reader has after the quick start."""
    folder = tmp_path_factory.mktemp("quickstart")
    before = os.getcwd()  # noqa: PTH109  chdir has no Path form either
    os.chdir(folder)
    try:
        run_page(QUICKSTART)
    finally:
        os.chdir(before)
    return folder


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", OTHERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_code_block_runs_and_prints_what_the_page_shows(
    page, after_quickstart, tmp_path, monkeypatch
):
    if page == QUICKSTART:
        return  # the fixture ran it
    shutil.copytree(after_quickstart, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    with warnings.catch_warnings():
        run_page(page)


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.place)
def test_blocks_that_do_not_run_say_why(block):
    assert block.language in RUN
    pytest.skip(f"not run: {block.reason}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_has_nothing_to_run(page):
    fences = page.read_text(encoding="utf-8").count("```")
    found = blocks(page)
    assert fences == 2 * len(found), "a fence is not closed, or indented"
    for block in found:
        assert block.language in (*RUN, *SHOWN), f"{block.place}: language {block.language!r}"


def test_every_public_name_is_in_the_reference():
    reference = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    for name in sf.__all__:
        if not name.startswith("__"):
            assert f"\n::: speckflex.{name}\n" in reference, name


def test_every_setting_of_the_twin_is_on_its_page():
    page = (DOCS / "twin.md").read_text(encoding="utf-8")
    for field in fields(TwinSettings):
        assert f"`{field.name}`" in page, field.name


def test_every_field_of_a_report_is_on_the_page_of_formats(after_quickstart):
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    for name in json.loads((after_quickstart / "out" / "report.json").read_text()):
        assert re.search(rf"`{name}(\[\])?`", page), name


def test_the_tables_of_the_chip_say_what_the_package_holds():
    page = (DOCS / "stages" / "placement.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:-1] for row in page.splitlines() if row.startswith("| ")]
    seen = {}
    for cores, kernel, neuron, bias, *_ in (row for row in rows if row[1].strip().endswith("Ki")):
        words = [1024 * int(cell.split()[0]) for cell in (kernel, neuron, bias)]
        seen |= {int(index): words for index in cores.split(",")}
    held = {
        core.index: [core.kernel_words, core.neuron_words, core.bias_words]
        for core in SPECK2E.cores
    }
    assert seen == held


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    if find_spec("zensical") is None:
        pytest.skip("zensical is not installed: pip install 'speckflex[docs]'")
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return folder / "site"


def test_the_site_has_every_page(site):
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()


def test_the_site_loads_nothing_from_a_network(site):
    for page in site.rglob("*.html"):
        assert not EXTERNAL.findall(page.read_text(encoding="utf-8")), page


def test_the_search_finds_a_page_from_disk(site, tmp_path):
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        chrome.get((site / "twin.html").as_uri())
        wait = WebDriverWait(chrome, SECONDS)
        wait.until(lambda _: chrome.find_elements("css selector", ".md-search__button"))
        chrome.execute_script("document.querySelector('.md-search__button').click()")
        chrome.switch_to.active_element.send_keys("placement")
        wait.until(lambda _: "stages/placement.html" in chrome.execute_script(FOUND))
    finally:
        chrome.quit()


def test_the_command_reference_has_every_command(site):
    from speckflex.cli import COMMANDS

    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert re.search(rf"<h\d[^>]*>(speckflex )?{name}\b", text), name


def test_dots_stand_for_anything_and_spaces_for_any_spaces():
    assert is_printed("conv1 7 ... of 16384", " conv1    7   256 of 16384  ")
    assert not is_printed("conv1 8 ...", " conv1    7   256 of 16384  ")
