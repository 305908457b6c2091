"""Files are written whole or not at all, whatever comes in between."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from speckflex._support.files import write_whole, writing_whole
from speckflex.errors import FileFormatError

# A file may have 4096 bytes: the next write fails as on a full disk.
LIMITED = """
import resource, signal, sys
import numpy as np
from made_up import played, two_core_program
from speckflex.errors import FileFormatError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
program = two_core_program()
if sys.argv[1].endswith(".h5"):
    saved = played(program, np.random.default_rng(0), "twin", 40)
else:
    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage
    weights = np.random.default_rng(0).integers(-9, 9, (64, 2, 8, 8))
    saved = Program((Core("conv", weights, 10, -10, (2, 8, 8)),), InputStage((2, 8, 8)))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    saved.save(sys.argv[1])
except FileFormatError as error:
    print(error)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_is_written_as_utf_8_in_place_of_the_old_file(tmp_path: Path):
    path = tmp_path / "report.md"
    path.write_text("a longer text from before")
    write_whole(path, "5 µs", FileFormatError)
    assert path.read_bytes() == "5 µs".encode()
    assert names_in(tmp_path) == ["report.md"]


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path: Path, monkeypatch):
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")
    seen = []

    def flush(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_size, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", flush)
    write_whole(path, b"newer", FileFormatError)
    assert seen == [(5, b"old")]
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path, monkeypatch, interruption):
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")

    def interrupt(_: int) -> None:
        raise interruption

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(interruption):
        write_whole(path, b"new", FileFormatError)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["run.h5"]


def test_a_folder_that_vanishes_meanwhile_is_said_in_one_line(tmp_path: Path, monkeypatch):
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setattr(os, "fsync", lambda _: shutil.rmtree(folder))
    with pytest.raises(FileFormatError, match=r"run\.h5: can't be written \(No such file"):
        write_whole(folder / "run.h5", b"new", FileFormatError)


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path):
    path = tmp_path / "run.h5"
    contents = [bytes([value]) * 50_000 for value in range(4)]
    write_whole(path, contents[0], FileFormatError)

    def write(content: bytes) -> set[bytes]:
        read = set()
        for _ in range(25):
            write_whole(path, content, FileFormatError)
            read.add(path.read_bytes())
        return read

    with ThreadPoolExecutor() as pool:
        assert set().union(*pool.map(write, contents)) <= set(contents)
    assert names_in(tmp_path) == ["run.h5"]


@pytest.mark.parametrize("name", ["model.speck", "run.h5"])
def test_a_file_that_gets_too_large_for_its_disk_leaves_the_old_one(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b"old")
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", LIMITED, path],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "support")},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{name}: can't be written (File too large)" in done.stdout
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == [name]


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    target, link = tmp_path / "runs" / "3.h5", tmp_path / "last.h5"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_whole(link, b"new", FileFormatError)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, "through", FileFormatError)
    reader.join()
    assert read == [b"through"]
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_with_what_helps():
    with pytest.raises(FileFormatError, match=r"No space left on device\): free some space"):
        write_whole("/dev/full", b"something", FileFormatError)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 300, "choose a shorter name"),
        ("folder", "choose the name of a file"),
        ("file/run.h5", "choose another folder"),
        ("absent/run.h5", "choose another folder"),
    ],
)
def test_a_name_that_can_not_be_is_told_with_what_helps(tmp_path: Path, name: str, words: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(FileFormatError, match=words) as caught:
        write_whole(tmp_path / name, b"something", FileFormatError)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == ["file", "folder"]


def test_the_longest_name_is_written(tmp_path: Path):
    path = tmp_path / ("ü" * 127)
    write_whole(path, b"something", FileFormatError)
    assert names_in(tmp_path) == [path.name]


def test_content_may_come_in_parts_and_be_changed_before_the_end(tmp_path: Path):
    path = tmp_path / "run.h5"
    path.write_bytes(b"old")
    with writing_whole(path, FileFormatError) as file:
        file.write(b"abc")
        file.seek(1)
        file.write(b"xyz")
        file.seek(0)
        assert file.read(2) == b"ax"
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"axyz"


def test_an_error_of_the_disk_waits_until_all_is_written(tmp_path: Path):
    class Full:
        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    def write_on_full(path: Path) -> None:
        with writing_whole(path, FileFormatError) as file:
            disk, file.disk = file.disk, Full()
            assert file.write(b"lost") == 4
            assert file.read(2) == b"\0\0"
            file.disk = disk

    path = tmp_path / "run.h5"
    path.write_bytes(b"old")
    with pytest.raises(FileFormatError, match=r"No space left on device\): free some space"):
        write_on_full(path)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["run.h5"]


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path):
    path = tmp_path / "run.h5"
    left, other = tmp_path / "run.h5.00ff.partial", tmp_path / "other.h5.00ff.partial"
    young = tmp_path / "run.h5.00fe.partial"
    for part in (left, other, young):
        part.touch()
    for part in (left, other):
        os.utime(part, (0, 0))
    write_whole(path, b"new", FileFormatError)
    assert names_in(tmp_path) == [other.name, path.name, young.name]
