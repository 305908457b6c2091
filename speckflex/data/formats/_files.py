"""The file formats that can be read, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.data.formats._aedat import AEDAT
from speckflex.data.formats._aedat4 import AEDAT4
from speckflex.data.formats._arrays import NPY, NPZ
from speckflex.data.formats._event_stream import EVENT_STREAM
from speckflex.data.formats._hdf5 import HDF5
from speckflex.data.formats._prophesee import PROPHESEE
from speckflex.data.formats._text import TEXT
from speckflex.data.formats._whole import dataset_of
from speckflex.data.formats.nmnist import BIN
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.data.dataset import EventDataset
    from speckflex.data.formats._file_format import FileFormat
    from speckflex.data.formats._reading import Reading

__all__ = ["FILE_FORMATS", "known_suffixes", "open_file"]

# In a folder of several formats the first one here is read.
FILE_FORMATS: list[FileFormat] = [
    NPY,
    NPZ,
    PROPHESEE,
    AEDAT4,
    AEDAT,
    EVENT_STREAM,
    BIN,
    HDF5,
    TEXT,
]

# Files that hold events and can't be read, with what to do.
REFUSED = {
    ".bag": 'pip install rosbags, then python -c "import numpy, pathlib, rosbags.highlevel as h; r'
    " = h.AnyReader([pathlib.Path('FILE')]); r.open(); numpy.save('out.npy', numpy.array([("
    "e.ts.sec * 10**6 + e.ts.nanosec // 1000, e.x, e.y, e.polarity) for c, _, d in r.messages() if"
    " c.msgtype.endswith('EventArray') for e in r.deserialize(d, c.msgtype).events]))\"",
    ".mat": 'save its arrays by name: python -c "import numpy, scipy.io as s; m ='
    " s.loadmat('FILE'); numpy.savez('out.npz', **{k: v.ravel() for k, v in m.items() if k[0] !="
    " '_'})\"",
    ".pkl": "a pickle runs code when it is read: load it where you trust it and write"
    " numpy.save('out.npy', events)",
    ".pickle": "a pickle runs code when it is read: load it where you trust it and write"
    " numpy.save('out.npy', events)",
    ".pt": "write its events as an array: python -c \"import numpy, torch; numpy.save('out.npy',"
    " torch.load('FILE', weights_only=True).numpy())\"",
    ".zip": "unpack it: python -m zipfile -e FILE folder",
    ".gz": "unpack it: gunzip --keep FILE",
    ".tar": "unpack it: tar -xf FILE",
}


def known_suffixes() -> list[str]:
    """Return the suffixes of all formats, in the order of the table."""
    return [suffix for file_format in FILE_FORMATS for suffix in file_format.suffixes]


def open_file(path: Path, reading: Reading) -> EventDataset:
    """Return the recordings of one file.

    Raises:
        EventsError: the file is damaged, of an unknown format, or its reader is not installed.
    """
    suffix = path.suffix.lower()
    for file_format in FILE_FORMATS:
        if suffix in file_format.suffixes:
            return dataset_of(path.name, file_format, [path], reading)
    if suffix in REFUSED:
        line = REFUSED[suffix].replace("FILE", path.name)
        raise EventsError(f"{path}: {suffix} files can't be read: {line}")
    raise EventsError(
        f"{path}: files with the suffix {suffix or 'none'} can't be read: use one of"
        f" {', '.join(known_suffixes())}"
    )
