"""Labelled event recordings: real data sets, users' own files, and synthetic ones."""

from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.digits import write_saccade_recordings, write_synthetic_digits
from speckflex.data.idx import read_idx
from speckflex.data.sources import open_dataset

__all__ = [
    "UNKNOWN",
    "EventDataset",
    "open_dataset",
    "read_idx",
    "write_saccade_recordings",
    "write_synthetic_digits",
]
