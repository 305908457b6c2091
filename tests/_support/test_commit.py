"""The commit of the checkout."""

import subprocess
from pathlib import Path

import pytest

from speckflex._support import commit
from speckflex._support.commit import commit_of_folder, commit_of_package

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fresh():
    commit_of_package.cache_clear()
    yield
    commit_of_package.cache_clear()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_it_is_the_one_that_git_names():
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 - the tester's own git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (commit_of_package() or "").removesuffix("+") == head.stdout.strip()


def test_there_is_none_without_git_or_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of_package() is None
    commit_of_package.cache_clear()
    monkeypatch.setattr(commit, "__file__", str(tmp_path / "a" / "b" / "commit.py"))
    assert commit_of_package() is None


def test_the_commit_of_a_users_folder_says_whether_files_differ(tmp_path):
    assert commit_of_folder(tmp_path) is None
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), (*name, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)  # noqa: S603, S607
    clean = commit_of_folder(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a.py").write_text("1")
    subprocess.run(["git", "-C", str(tmp_path), "add", "a.py"], check=True)  # noqa: S603, S607
    assert commit_of_folder(tmp_path) == f"{clean}+"
