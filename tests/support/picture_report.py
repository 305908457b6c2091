"""Pictures of a report for the README and the docs, taken in headless Chromium.

`make pictures` runs it: `python tests/support/picture_report.py REPORT.html FOLDER`.
"""

import base64
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
)
# name, width in px, colour scheme, first and last element of what is shown, both by CSS selector
PICTURES = (
    ("report.png", 1180, "light", "header", ".tiles"),
    ("report-dark.png", 1180, "dark", "header", ".tiles"),
    ("report-plots.png", 1180, "light", "#neurons", ".plots figure:nth-child(2)"),
    ("report-narrow.png", 390, "light", "header", ".tile:nth-child(2)"),
)
EDGES = """
const [first, last] = [...arguments].map((name) => document.querySelector(name));
return [first.getBoundingClientRect().top + scrollY, last.getBoundingClientRect().bottom + scrollY];
"""
COLORS = 128  # of a PNG, so that it stays small
MARGIN = 16  # px


def main(report: str, folder: str) -> None:
    """Write the pictures of one report."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        for name, width, scheme, first, last in PICTURES:
            (Path(folder) / name).write_bytes(picture(chrome, report, (width, scheme), first, last))
    finally:
        chrome.quit()


def picture(chrome, report, look, first, last):
    """Return a PNG of the page from one element to another."""
    width, scheme = look
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get(Path(report).absolute().as_uri())
    top, bottom = chrome.execute_script(EDGES, first, last)
    top = max(0, top - MARGIN)
    clip = {"x": 0, "y": top, "width": width, "height": bottom + MARGIN - top, "scale": 1}
    found = chrome.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    image = Image.open(io.BytesIO(base64.b64decode(found["data"]))).convert("RGB")
    content = io.BytesIO()
    image.quantize(COLORS).save(content, "png", optimize=True)
    return content.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
