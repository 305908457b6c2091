"""Which samna a process gets: the vendor's, the stand-in, never the stub and never two."""

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest


def run_with(folder, code):
    """Return what a fresh interpreter prints when a samna of our making comes first."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n" + code
    done = subprocess.run(  # noqa: S603 - our own Python and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.fixture
def install_samna(tmp_path):
    """Return a function that lays out a samna package, compiled or not, of a version."""

    def install(*, compiled, version="0.48.0", source="name = 'of the vendor'"):
        package = tmp_path / "samna"
        package.mkdir()
        (package / "__init__.py").write_text(source)
        if compiled:
            (package / f"samna_core{EXTENSION_SUFFIXES[0]}").write_bytes(b"")
        info = tmp_path / f"samna-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: samna\nVersion: {version}\n")
        return tmp_path

    return install


LOAD = "from speckflex.samna_access import *\nfrom speckflex.errors import BoardError\n"
SAY = "try: print(load_samna().__dict__.get('name', 'stand-in'))\nexcept BoardError as e: print(e)"


def test_a_compiled_package_is_the_vendors_and_is_imported(install_samna):
    folder = install_samna(compiled=True)
    assert run_with(folder, LOAD + "print(find_samna())") == (
        "InstalledSamna(kind='real', version='0.48.0')"
    )
    assert run_with(folder, LOAD + SAY) == "of the vendor"


def test_the_stub_is_seen_and_never_imported(install_samna):
    folder = install_samna(compiled=False, source="raise SystemExit('the stub was imported')")
    assert run_with(folder, LOAD + "print(find_samna().kind)") == "stub"
    assert run_with(folder, LOAD + SAY) == "stand-in"


def test_nothing_installed_gives_the_stand_in(tmp_path):
    hide = (
        "import importlib.machinery as m\n"
        "find = m.PathFinder.find_spec\n"
        "m.PathFinder.find_spec = lambda n, *a: None if n == 'samna' else find(n, *a)\n"
    )
    code = LOAD + hide + "print(find_samna())\nprint(load_samna() is load_samna())"
    assert run_with(tmp_path, code).splitlines() == [
        "InstalledSamna(kind='missing', version='')",
        "True",
    ]


def test_a_version_that_is_too_old_is_refused_with_both_numbers(install_samna):
    folder = install_samna(compiled=True, version="0.21.3")
    message = run_with(folder, LOAD + SAY)
    assert "samna 0.21.3 is installed" in message
    assert "needs 0.39.8 or newer" in message


def test_a_vendors_samna_that_fails_to_load_is_named(install_samna):
    folder = install_samna(compiled=True, source="raise ImportError('GLIBC too old')")
    assert "can't be imported (GLIBC too old)" in run_with(folder, LOAD + SAY)


def test_a_stub_that_a_script_imported_is_refused(install_samna):
    folder = install_samna(compiled=False)
    assert "stub was imported" in run_with(folder, "import samna\n" + LOAD + SAY)


def test_the_samna_that_is_loaded_stays(install_samna):
    folder = install_samna(compiled=True)
    code = "import speckflex.virtual as v; v.install()\n" + LOAD
    assert run_with(folder, code + "print(v.is_stand_in(load_samna()))") == "True"


def test_sinabs_backend_imports_over_the_stand_in(tmp_path):
    code = LOAD + "load_samna()\nfrom sinabs.backend.dynapcnn import DynapcnnNetwork\nprint('done')"
    assert run_with(tmp_path, code) == "done"
