"""Labelled event recordings: real data sets, users' own files, and synthetic ones."""

from speckflex.data.augment import augment_gesture, mirror, roll
from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.formats.idx import read_idx
from speckflex.data.sources import open_dataset
from speckflex.data.synthetic.digits import write_synthetic_digits
from speckflex.data.synthetic.gestures import write_synthetic_gestures
from speckflex.data.synthetic.images import write_saccade_recordings

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
