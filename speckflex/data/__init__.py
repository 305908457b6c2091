"""Labelled event recordings: real data sets, users' own files, and synthetic ones."""

from speckflex.data._augment import augment_gesture, mirror, roll
from speckflex.data._sources import open_dataset
from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.formats._idx import read_idx
from speckflex.data.images import ImageDataset, is_image_folder, open_images
from speckflex.data.preprocessing import Crop, Preprocessing, preprocess
from speckflex.data.summary import EventSummary, count_events, count_frames, summarise
from speckflex.data.synthetic._digits import write_synthetic_digits
from speckflex.data.synthetic._gestures import write_synthetic_gestures
from speckflex.data.synthetic._images import (
    distort_images,
    simulate_image,
    write_saccade_recordings,
)

__all__ = [
    "UNKNOWN",
    "Crop",
    "EventDataset",
    "EventSummary",
    "ImageDataset",
    "Preprocessing",
    "augment_gesture",
    "count_events",
    "count_frames",
    "distort_images",
    "is_image_folder",
    "mirror",
    "open_dataset",
    "open_images",
    "preprocess",
    "read_idx",
    "roll",
    "simulate_image",
    "summarise",
    "write_saccade_recordings",
    "write_synthetic_digits",
    "write_synthetic_gestures",
]
