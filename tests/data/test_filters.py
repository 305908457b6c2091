"""Filters of images against those of scipy."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from speckflex.data.synthetic._filters import blurred, enlarged, pixels_at


@pytest.mark.parametrize("radius", [0.1, 0.6, 4.0])
def test_an_image_is_blurred_as_scipy_does(rng, radius):
    images = rng.random((2, 28, 30))
    expected = gaussian_filter(images, (0, radius, radius))
    np.testing.assert_allclose(blurred(images, radius), expected, atol=1e-14)


def test_brightness_between_pixels_is_scipys_and_black_outside(rng):
    image, places = rng.random((28, 20)), rng.uniform(-3, 30, (2, 28, 28))
    places[:, 0, :2], places[:, 1, 0] = 0, (27, 19)
    expected = map_coordinates(image, places, order=1)
    np.testing.assert_allclose(pixels_at(image, places), expected, atol=1e-14)


def test_an_image_is_enlarged_as_scipy_does(rng):
    images = rng.random((3, 8, 8))
    expected = zoom(images, (1, 2.5, 2.5), order=3, mode="grid-constant", grid_mode=True)
    np.testing.assert_allclose(enlarged(images, 20), expected, atol=1e-12)
