"""Labelled event recordings: real data sets, users' own files, and synthetic ones."""

from speckflex.data._augment import augment_gesture, mirror, roll
from speckflex.data._sources import open_dataset
from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.formats._idx import read_idx
from speckflex.data.synthetic._digits import write_synthetic_digits
from speckflex.data.synthetic._gestures import write_synthetic_gestures
from speckflex.data.synthetic._images import write_saccade_recordings

__all__ = [
    "UNKNOWN",
    "EventDataset",
    "augment_gesture",
    "mirror",
    "open_dataset",
    "read_idx",
    "roll",
    "write_saccade_recordings",
    "write_synthetic_digits",
    "write_synthetic_gestures",
]
