"""What a machine has for a board, and what it lacks."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from speckflex.boards.family import BoardName, find_family
from speckflex.errors import BoardError
from speckflex.samna_access import find_samna

__all__ = ["Finding", "diagnose"]

OLDEST_PYTHON = (3, 10)
# What the twin and the way to a program need; the tested ranges are the package's own metadata.
PACKAGES = ("numpy", "numba", "h5py", "torch", "sinabs")
USB_FOLDER = Path("/dev/bus/usb")
RULE_FOLDERS = (
    Path("/etc/udev/rules.d"),
    Path("/run/udev/rules.d"),
    Path("/usr/local/lib/udev/rules.d"),
    Path("/usr/lib/udev/rules.d"),
    Path("/lib/udev/rules.d"),
)
RULE_WORDS = ("synsense", "speck", "samna")


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Args:
        subject: its name.
        state: "ok"; "missing" for what the board needs and isn't there; "note" for the rest.
        found: what was found.
        remedy: what to do about it, "" for nothing.
    """

    subject: str
    state: Literal["ok", "missing", "note"]
    found: str
    remedy: str = ""

    @property
    def blocks(self) -> bool:
        """Whether the board can't work like this."""
        return self.state == "missing"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def diagnose(board: str = "twin") -> list[Finding]:
    """Return what this machine has and lacks for a board.

    Args:
        board: as for `open_board`; a thing that only other boards need becomes a note.

    Raises:
        BoardNotFoundError: there is no such board.
    """
    needed = find_family(board).needs_samna
    found = [_python(), *(_package(name) for name in PACKAGES), _samna(needed=needed)]
    if sys.platform.startswith("linux"):
        found += [_usb(needed=needed), _udev()]
    elif needed:
        found.append(_platform())
    if find_samna().kind == "real":
        found.append(_device(board, needed=needed))
    return found


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("Python", "ok", version)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding("Python", "missing", version, f"install Python {oldest} or newer")


def _package(name: str) -> Finding:
    """Return whether a package has a version in the range of speckflex's own metadata."""
    from packaging.requirements import Requirement

    stated = [Requirement(line) for line in metadata.requires("speckflex") or []]
    wanted = next((each for each in stated if each.name == name), Requirement(name)).specifier
    remedy = f'pip install "{name}{wanted}"'
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", remedy)
    if wanted.contains(version, prereleases=True):
        return Finding(name, "ok", version)
    return Finding(name, "missing", f"{version}, tested with {wanted}", remedy)


def _samna(*, needed: bool) -> Finding:
    installed = find_samna()
    if installed.kind == "real":
        return Finding("samna", "ok", f"{installed.version or 'of unknown version'}, the vendor's")
    state = "missing" if needed else "note"
    if installed.kind == "stub":
        return Finding(
            "samna",
            state,
            f"{installed.version}, the package index's stub: it has no compiled part",
            "pip uninstall samna, then install the vendor's as SynSense's documentation says;"
            " twin and virtual boards work without it",
        )
    return Finding(
        "samna",
        state,
        "not installed; only a chip needs it",
        "install the vendor's as SynSense's documentation says; the package of that name on the"
        " package index is only a stub that fetches it from SynSense's own server",
    )


def _usb(*, needed: bool) -> Finding:
    """Return whether this user may write to any USB device, such as a devkit."""
    state = "missing" if needed else "note"
    nodes = sorted(USB_FOLDER.glob("*/*")) if USB_FOLDER.is_dir() else []
    if not nodes:
        return Finding(
            "USB",
            state,
            f"no device under {USB_FOLDER}",
            "plug the devkit in; in a container, pass /dev/bus/usb through to it",
        )
    writable = sum(os.access(node, os.R_OK | os.W_OK) for node in nodes)
    found = f"this user may write to {writable} of {len(nodes)} devices"
    if writable == len(nodes):
        return Finding("USB", "ok", found)
    # nothing tells which one is a devkit: its vendor and product numbers are not published
    return Finding(
        "USB",
        "note",
        found,
        "if a devkit is among the others, install SynSense's udev rule (next line), then plug"
        " it in again",
    )


def _udev() -> Finding:
    """Return whether a udev rule names the vendor; only the vendor knows what it must contain."""
    for folder in RULE_FOLDERS:
        for path in sorted(folder.glob("*.rules")) if folder.is_dir() else []:
            try:
                text = path.read_text(encoding="utf-8", errors="replace").lower()
            except OSError:
                continue
            if any(word in text or word in path.name.lower() for word in RULE_WORDS):
                return Finding("udev rule", "ok", str(path))
    return Finding(
        "udev rule",
        "note",
        "none names SynSense, Speck or samna",
        "take the rule from SynSense's documentation of samna's installation (the devkits' USB"
        " numbers are not published elsewhere), put it into /etc/udev/rules.d as root, run"
        " 'udevadm control --reload-rules && udevadm trigger', and plug the devkit in again",
    )


def _platform() -> Finding:
    return Finding(
        "operating system",
        "note",
        sys.platform,
        "samna is made for Linux and macOS; on macOS no udev rule is needed",
    )


def _device(board: str, *, needed: bool) -> Finding:
    """Return whether samna sees the chip, or any chip."""
    from speckflex.boards.chip.attached import attached_devices, find_device

    state = "missing" if needed else "note"
    remedy = "plug the devkit in, press its reset button, and close other programs that use it"
    try:
        devices = attached_devices()
        if needed:
            devices = [find_device(BoardName.parse(board), devices)]
    except BoardError as error:
        return Finding("chip", state, str(error), remedy)
    if not devices:
        return Finding("chip", state, "none attached", remedy)
    return Finding("chip", "ok", ", ".join(map(str, devices)))
