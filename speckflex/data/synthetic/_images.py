"""A user's own images as an event sensor would see them, in N-MNIST's layout."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speckflex.data.formats.nmnist import CLASSES, SHAPE, write_nmnist_file
from speckflex.data.synthetic._filters import blurred, pixels_at
from speckflex.data.synthetic._saccades import VERSION, Saccades, simulate_saccades
from speckflex.data.synthetic._sensor import EventSensor
from speckflex.data.synthetic.files import write_split
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["distort_images", "simulate_image", "write_saccade_recordings"]

FITTED_VERSION = 1  # of `simulate_image`: raise it when the recordings change
# Fitted to the mean position of the events of real recordings, and to the direction from the events
# of one polarity to those of the other.
STROKES = (
    ((-1.5, -2.5), (3.2, -1.5)),
    ((3.1, -0.6), (-1.1, 2.2)),
    ((-1.2, 2.5), (-1.3, -2.2)),
)
DISPLAY_GAMMA = 2.2  # of usual displays; it makes strokes as thin as they are in real recordings
BLUR_PIXELS = 2  # how far a lens spreads a point
BEND_PIXELS = 4.0  # over how far neighbouring pixels are bent alike


def write_saccade_recordings(
    images: np.ndarray,
    labels: Sequence[int] | np.ndarray,
    folder: str | Path,
    *,
    seed: int = 0,
    sensor: str = "plain",
) -> Path:
    """Write a simulated recording of each image into label folders and return `folder`.

    Args:
        images: `(n, y, x)`, uint8 from 0 to 255 or floats from 0 to 1, bright on dark, at most
            34 pixels a side.
        labels: `(n,)` integers 0..9.
        folder: gets `<label>/<index>.bin` in N-MNIST's format, and the mark `synthetic.json`;
            name it `Train` or `Test` inside a folder to make a whole data set.
        seed: for position and noise; a recording depends only on its index and the seed.
        sensor: "plain" is the same in each recording, as `simulate_saccades` has it; "fitted" is
            that of `simulate_image`.

    Raises:
        EventsError: images, labels or sensor are not of this kind, or the folder can't be
            written to.
    """
    if sensor not in SENSORS:
        raise EventsError(f"sensor {sensor!r} is not known: choose one of {', '.join(SENSORS)}")
    folder, images, labels = Path(folder), np.asarray(images), np.asarray(labels)
    _check_images(images)
    known = labels.dtype.kind in "iu" and ((labels >= 0) & (labels < len(CLASSES))).all()
    if labels.shape != images.shape[:1] or not known:
        raise EventsError(
            f"labels of shape {labels.shape} and dtype {labels.dtype} do not name the"
            f" {len(images)} images: give one integer from 0 to 9 for each"
        )
    scale = 255 if images.dtype == np.uint8 else 1

    def simulate(index: int) -> np.ndarray:
        return SENSORS[sensor](images[index] / scale, np.random.default_rng((seed, index)))

    digest = hashlib.sha256(images.tobytes() + labels.astype(np.int64).tobytes()).hexdigest()
    settings = {"data": "saccades", "images": digest, "seed": seed, "version": VERSION}
    if sensor != "plain":
        settings |= {"sensor": sensor, "version": FITTED_VERSION}
    files = [(f"{label}/{index:05d}.bin", index) for index, label in enumerate(labels)]
    write_split(folder, settings, files, simulate, write_nmnist_file)
    return folder


def simulate_image(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the events of an image, seen by a sensor that is drawn anew.

    Movement, lens, light and sensor are fitted to numbers, times, places and polarities of events
    in real training recordings of N-MNIST, and vary from recording to recording as far as those
    numbers do: see `examples/nmnist/sensor_table.py`. What the sensor sees is a display, whose
    luminance is a power of the image's brightness.

    Args:
        image: `(y, x)` brightness from 0 to 1, at most 34 pixels a side.
        rng: draws movement, lens, light, sensor, position and noise.
    """
    sensor = EventSensor(
        threshold=0.205 * rng.lognormal(0, 0.1),
        mismatch=0.3,
        jitter_us=150,
        noise_hz=0.35 * rng.lognormal(0, 0.5),
        darker_noise=0.8,
        refractory_us=rng.uniform(900, 1200),
        darkness=0.3 * rng.lognormal(0, 0.15),
    )
    strokes = np.array(STROKES) + rng.normal(0, 0.2, (len(STROKES), 2, 2))
    saccades = Saccades(rest_us=3000, moving_us=84_000, strokes=strokes.tolist(), shift=0.3)
    seen = _behind_lens(image**DISPLAY_GAMMA, rng.uniform(0.1, 0.6))
    return simulate_saccades(seen, rng, saccades=saccades, sensor=sensor)


# What a recording of an image is simulated by.
SENSORS = {"plain": simulate_saccades, "fitted": simulate_image}


def distort_images(images: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return other handwriting: each image rotated, stretched, sheared and bent at random.

    Args:
        images: `(n, y, x)`, uint8 from 0 to 255 or floats from 0 to 1.
        strength: 0 changes nothing; at 1 the standard deviation of the linear map is 0.1, about 6
            degrees of rotation, and strokes are bent by about a pixel.
        rng: draws the distortions.
    """
    scale = 255 if images.dtype == np.uint8 else 1
    places = np.indices(images.shape[1:]).astype(float)
    centre = np.array(images.shape[1:])[:, None, None] / 2 - 0.5
    distorted = np.empty(images.shape)
    for image, result in zip(images, distorted, strict=True):
        matrix = np.eye(2) + strength * rng.normal(0, 0.1, (2, 2))
        noise = rng.normal(0, 1, (2, *image.shape))
        bent = blurred(noise, BEND_PIXELS) * 2 * BEND_PIXELS
        bent *= np.sqrt(np.pi) * strength
        sources = np.einsum("ij,jyx->iyx", matrix, places - centre) + centre + bent
        result[:] = pixels_at(image / scale, sources)
    return np.clip(distorted, 0, 1)


def _behind_lens(image: np.ndarray, radius: float) -> np.ndarray:
    """Return an image behind a lens, with a margin for what the lens spreads."""
    margin = [min(BLUR_PIXELS, (SHAPE[1] - size) // 2) for size in image.shape]
    return blurred(np.pad(image, [(size, size) for size in margin]), radius)


def _check_images(images: np.ndarray) -> None:
    if images.ndim != 3 or not 1 <= max(images.shape[1:]) <= SHAPE[1]:
        raise EventsError(
            f"images of shape {images.shape} can't be shown to the sensor: give (n, y, x) with at"
            f" most {SHAPE[1]} pixels a side"
        )
    bright = images.dtype == np.uint8 or (
        images.dtype.kind == "f" and ((images >= 0) & (images <= 1)).all()
    )
    if not bright:
        raise EventsError(
            f"images of dtype {images.dtype} are no brightness, or have values outside 0 to 1: give"
            " uint8, or floats from 0 to 1"
        )
