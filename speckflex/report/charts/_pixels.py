"""Arrays as PNG images inside a page."""

from __future__ import annotations

import base64
import io
from math import ceil, sqrt

import numpy as np

__all__ = ["difference_image", "frame_images", "png_uri", "raster_image"]

# Colour-blind readers can tell orange from blue, on white and on black.
MORE = (230, 97, 1)
FEWER = (38, 120, 200)
GAP = (128, 128, 128, 90)
RASTER_ROWS, RASTER_COLUMNS = 60, 200


def png_uri(pixels: np.ndarray) -> str:
    """Return an image as a `data:` URI.

    Args:
        pixels: `(y, x, 4) uint8`, red, green, blue and opacity.
    """
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def difference_image(values: np.ndarray) -> np.ndarray:
    """Return the channels of a signed map side by side, orange for more, blue for fewer.

    Args:
        values: `(channel, y, x)`; zero is transparent, the largest magnitude opaque.

    Returns:
        `(y, x, 4) uint8`, one pixel a neuron, channels apart by one grey pixel.
    """
    largest = float(np.abs(values).max(initial=0)) or 1.0
    pixels = np.zeros((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where((values > 0)[..., None], MORE, FEWER)
    # The root lifts small differences out of the background.
    pixels[..., 3] = np.round(255 * np.sqrt(np.abs(values) / largest))
    return _mosaic(pixels)


def frame_images(frames: np.ndarray) -> list[np.ndarray]:
    """Return one image a frame: orange for channel 1 (on), blue for channel 0 (off).

    Args:
        frames: `(frame, channel, y, x)` counts; channels beyond the second count as on.
    """
    largest = float(frames.max(initial=0)) or 1.0
    images = []
    for frame in frames:
        off, on = frame[0], frame[1:].sum(axis=0)
        pixels = np.zeros((*off.shape, 4), np.uint8)
        pixels[..., :3] = np.where((on >= off)[..., None], MORE, FEWER)
        strength = np.minimum(1.0, np.maximum(on, off) / largest)
        pixels[..., 3] = np.round(255 * np.sqrt(strength))
        images.append(pixels)
    return images


def raster_image(
    events: np.ndarray, shape: tuple[int, int, int], span: tuple[int, int]
) -> np.ndarray:
    """Return spikes as an image: neurons downward, time from left to right.

    Args:
        events: `(n,)` structured with t, x, y, p.
        shape: (channel, y, x) of the neurons; more than fit share a row.
        span: first and last time of the image, µs; spikes outside stand at its ends.

    Returns:
        `(row, column, 4) uint8`, opaque where a neuron spikes most.
    """
    n_neurons = int(np.prod(shape))
    n_rows = min(n_neurons, RASTER_ROWS)
    neuron = (events["p"].astype(np.int64) * shape[1] + events["y"]) * shape[2] + events["x"]
    elapsed = (events["t"] - span[0]) * RASTER_COLUMNS // max(1, span[1] - span[0])
    counts = np.zeros((n_rows, RASTER_COLUMNS))
    place = (neuron * n_rows // n_neurons, np.clip(elapsed, 0, RASTER_COLUMNS - 1))
    np.add.at(counts, place, 1)
    pixels = np.zeros((*counts.shape, 4), np.uint8)
    pixels[..., :3] = FEWER
    pixels[..., 3] = np.round(255 * np.sqrt(counts / (counts.max(initial=0) or 1.0)))
    return np.repeat(pixels, max(1, RASTER_ROWS // n_rows), axis=0)


def _mosaic(tiles: np.ndarray) -> np.ndarray:
    height, width, _ = tiles.shape[1:]
    columns = min(len(tiles), max(1, ceil(sqrt(len(tiles) * height / width * 2))))
    rows = ceil(len(tiles) / columns)
    canvas = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * (height + 1), index % columns * (width + 1)
        canvas[y - min(y, 1) : y + height + 1, x - min(x, 1) : x + width + 1] = GAP
        canvas[y : y + height, x : x + width] = tile
    return canvas
