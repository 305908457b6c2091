"""Labelled event recordings: real data sets, users' own files, and synthetic ones."""

from speckflex.data.augment import augment_gesture, mirror, roll
from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.digits import write_saccade_recordings, write_synthetic_digits
from speckflex.data.idx import read_idx
from speckflex.data.sources import open_dataset
from speckflex.data.synthetic_gestures import write_synthetic_gestures

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
