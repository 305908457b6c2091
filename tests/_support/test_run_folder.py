"""A folder holds one run, whatever ends the process that writes it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from speckflex._support.run_folder import RunFolder, unfinished
from speckflex.errors import BoardError, FileFormatError

# Another process, which claims the folder and is then killed or waits.
OTHER = """
import os, signal, sys
from speckflex._support.run_folder import RunFolder
from speckflex.errors import FileFormatError
folder = RunFolder(sys.argv[1], FileFormatError).__enter__()
folder.write("a.txt", lambda path: path.write_text("half of a run"))
if sys.argv[2] == "wait":
    print("claimed", flush=True)
    sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def other(folder: Path, what: str) -> subprocess.Popen:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", OTHER, str(folder), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_text(folder: RunFolder, name: str, text: str) -> None:
    folder.write(name, lambda path: path.write_text(text))


def test_files_get_their_names_together_at_the_end(tmp_path: Path):
    with RunFolder(tmp_path / "out", FileFormatError) as folder:
        write_text(folder, "a.txt", "a")
        write_text(folder, "b.txt", "b")
        assert not (tmp_path / "out" / "a.txt").exists()
        assert folder.finish() == [tmp_path / "out" / "a.txt", tmp_path / "out" / "b.txt"]
    assert names_in(tmp_path / "out") == ["a.txt", "b.txt"]


def test_a_failing_file_does_not_lose_the_others(tmp_path: Path):
    def fail(path: Path) -> None:
        raise BoardError(f"{path}: no space left")

    with RunFolder(tmp_path, FileFormatError) as folder:
        folder.write("a.txt", fail)
        write_text(folder, "b.txt", "b")
        with pytest.raises(BoardError) as caught:
            folder.finish(stale=("older.txt",))
    assert str(caught.value) == (
        f"{tmp_path}/a.txt: no space left; 1 other files of the run are in {tmp_path}"
    )
    assert names_in(tmp_path) == ["b.txt"]


@pytest.mark.parametrize("older", ["a.txt", "older.txt"])
def test_a_folder_with_an_older_file_beside_new_ones_is_said_to_be_one(older: str, tmp_path: Path):
    def fail(path: Path) -> None:
        raise BoardError(f"{path}: no space left")

    (tmp_path / older).write_text("old")
    with RunFolder(tmp_path, FileFormatError) as folder:
        folder.write("a.txt", fail)
        write_text(folder, "b.txt", "b")
        with pytest.raises(BoardError):
            folder.finish(stale=("older.txt",))
    assert "its files may be of two runs: run it again" in unfinished(tmp_path)
    with RunFolder(tmp_path, FileFormatError) as folder:
        write_text(folder, "a.txt", "a")
        folder.finish(stale=("older.txt", "b.txt"))
    assert names_in(tmp_path) == ["a.txt"]


def test_an_error_before_the_end_leaves_the_older_files(tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")

    def interrupted() -> None:
        with RunFolder(tmp_path, FileFormatError) as folder:
            write_text(folder, "a.txt", "new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_run_that_fails_leaves_no_folder_that_was_not_there(tmp_path: Path):
    with pytest.raises(BoardError), RunFolder(tmp_path / "out", FileFormatError):
        raise BoardError
    assert names_in(tmp_path) == []


def test_files_of_a_run_before_are_removed_if_this_run_has_none_of_their_name(tmp_path: Path):
    for name in ("old.txt", "a.txt", "notes.txt"):
        (tmp_path / name).write_text("old")
    with RunFolder(tmp_path, FileFormatError) as folder:
        write_text(folder, "a.txt", "new")
        folder.finish(stale=("old.txt", "a.txt"))
    assert names_in(tmp_path) == ["a.txt", "notes.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_that_another_process_writes_is_refused_until_that_ends(tmp_path: Path):
    process = other(tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    assert re.fullmatch(
        rf"{tmp_path}: process {process.pid}, run \w+, started .* is writing a run into it, so that"
        " its files may be of a run before: wait for its end",
        unfinished(tmp_path),
    )
    with (
        pytest.raises(FileFormatError, match=f"process {process.pid}, run .* is writing a run"),
        RunFolder(tmp_path, FileFormatError),
    ):
        pass
    process.communicate()
    with RunFolder(tmp_path, FileFormatError):
        pass
    assert names_in(tmp_path) == []


def test_a_folder_of_a_killed_run_is_said_to_be_one_and_mended(tmp_path: Path, caplog):
    other(tmp_path, "end").communicate()
    assert "was left by a run that was ended while it worked" in unfinished(tmp_path)
    with RunFolder(tmp_path, FileFormatError) as folder:
        write_text(folder, "b.txt", "b")
        folder.finish()
    assert "was left by a run that was ended while it worked" in caplog.text
    assert unfinished(tmp_path) == ""
    assert names_in(tmp_path) == ["b.txt"]


def test_a_place_that_is_no_folder_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FileFormatError, match="can't be written"),
        RunFolder(tmp_path / "file", FileFormatError),
    ):
        pass


def test_a_pipe_in_the_place_of_the_mark_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / ".speckflex-running")
    assert unfinished(tmp_path) == ""
    with pytest.raises(FileFormatError, match="is no file"), RunFolder(tmp_path, FileFormatError):
        pass
