"""A page about a recording: one HTML file that loads nothing."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np

from speckflex.cli._shades import darkness

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["page_of"]

SMALLEST_SIDE = 320  # pixels of a picture on the page
RATE_BINS, RATE_HEIGHT, RATE_WIDTH = 200, 80, 800
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "td{padding:.1rem 1rem .1rem 0;vertical-align:top}img{image-rendering:pixelated;"
    "border:1px solid #ccc}figure{display:inline-block;margin:0 .5rem .5rem 0}"
    "figcaption{font-size:.8rem;color:#555}"
)


def page_of(
    title: str,
    rows: Sequence[tuple[str, str]],
    picture: np.ndarray,
    frames: np.ndarray,
    events: np.ndarray,
) -> str:
    """Return the page.

    Args:
        title: of the recording.
        rows: facts by name.
        picture: (channel, y, x) counts over the whole recording.
        frames: (frame, channel, y, x) counts over equal parts of it.
        events: `(n,)` structured, for the rate over time.
    """
    facts = "".join(f"<tr><td>{_safe(k)}</td><td>{_safe(v)}</td></tr>" for k, v in rows)
    strip = "".join(
        f"<figure>{_image(frame, frames.sum(axis=1).max(initial=0), f'frame {number}')}"
        f"<figcaption>{number}</figcaption></figure>"
        for number, frame in enumerate(frames, start=1)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{_safe(title)}</h1><table>{facts}</table>"
        f"<h2>Events of each pixel</h2>{_image(picture, picture.sum(axis=0).max(initial=0), 'all')}"
        "<p>Blue where more events are on, red where more are off, grey where there is one"
        " channel; dark where there are many, by the logarithm.</p>"
        f"<h2>Over time</h2>{_rate(events)}<h2>In {len(frames)} equal parts of its time</h2>{strip}"
        "</body></html>\n"
    )


def _safe(words: str) -> str:
    return html.escape(words)


def _image(counts: np.ndarray, largest: int, name: str) -> str:
    """Return an image of (channel, y, x) counts as PNG in the page itself."""
    from PIL import Image

    total = counts.sum(axis=0)
    dark = darkness(total, largest)[:, :, None]
    ink = np.zeros((*total.shape, 3))
    if len(counts) == 2:
        share = (counts[1] / np.maximum(total, 1))[:, :, None]
        ink = share * np.array([20, 60, 200]) + (1 - share) * np.array([200, 40, 30])
    pixels = np.rint(255 + dark * (ink - 255)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    scale = max(1, -(-SMALLEST_SIDE // max(total.shape))) if name == "all" else 1
    width = max(total.shape[1] * scale, 96)
    return f'<img alt="events, {name}" width="{width}" src="data:image/png;base64,{data}">'


def _rate(events: np.ndarray) -> str:
    """Return a curve of the events in equal parts of the time."""
    elapsed = events["t"] - events["t"].min(initial=np.iinfo(np.int64).max)
    span = int(elapsed.max(initial=0)) + 1
    counts = np.bincount(elapsed * RATE_BINS // span, minlength=RATE_BINS)
    heights = RATE_HEIGHT * (1 - counts / max(counts.max(initial=0), 1))
    step = RATE_WIDTH / RATE_BINS
    points = " ".join(f"{i * step:.0f},{height:.1f}" for i, height in enumerate(heights))
    peak = counts.max(initial=0) * 1e6 / (span / RATE_BINS)
    return (
        f'<svg viewBox="0 0 {RATE_WIDTH} {RATE_HEIGHT + 2}" width="100%" role="img"'
        f' aria-label="events over time"><polyline fill="none" stroke="#14489c"'
        f' points="{points}"/></svg><p>Highest point: {peak:.4g} events per second, over'
        f" {span / RATE_BINS / 1000:.4g} ms.</p>"
    )
