"""What a machine has for a board, and what it lacks."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from speckflex.boards.family import BoardName, find_family
from speckflex.chips.speck import SPECKS
from speckflex.errors import BoardError
from speckflex.samna_access import OLDEST_VERSION, VERSION_NOTES, find_samna

__all__ = ["Finding", "diagnose"]

OLDEST_PYTHON = (3, 10)
# What the twin needs, and what the extras bring; the tested ranges are the package's own metadata.
PACKAGES = ("numpy", "numba", "h5py")
EXTRAS = {
    "torch": ("torch", "only networks need it: their files, conversion and training"),
    "sinabs": ("torch", "only networks need it: their files, conversion and training"),
    "tonic": ("data", "only downloads of data sets need it"),
}
NOT_INSTALLED = "not installed"
USB_FOLDER = Path("/dev/bus/usb")
SYS_FOLDER = Path("/sys/bus/usb/devices")
DEVKITS = {
    number: device
    for chip in SPECKS
    for device, number in zip(chip.samna.devices, chip.samna.usb, strict=True)
}
# samna 0.48.5, devkits: what a devkit shows on a port of USB 2, where it does not work
ON_USB_2 = "04b4:00f1"
RULE_FOLDERS = (
    Path("/etc/udev/rules.d"),
    Path("/run/udev/rules.d"),
    Path("/usr/local/lib/udev/rules.d"),
    Path("/usr/lib/udev/rules.d"),
    Path("/lib/udev/rules.d"),
)
# Vendors of the rules that samna installs (samna 0.48.5, installation); 04b4 alone is also the
# number of other makers' devices.
RULE_WORDS = ("synsense", "speck", "samna", "337d", "152a")
FETCH = (
    "run 'python -c \"import samna\"' once: the package index's samna fetches the binary from"
    " SynSense's server at its first import"
)
RULE_SCRIPT = "install-synsense-rules"  # comes with samna 0.45.2 and newer


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
    found = [_python(), *map(_package, PACKAGES), *map(_extra, EXTRAS), _samna(needed=needed)]
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
        return Finding(name, "missing", NOT_INSTALLED, remedy)
    if wanted.contains(version, prereleases=True):
        return Finding(name, "ok", version)
    return Finding(name, "missing", f"{version}, tested with {wanted}", remedy)


def _extra(name: str) -> Finding:
    """Return whether a package of an extra has a version in the tested range, if it is there."""
    extra, need = EXTRAS[name]
    found = _package(name)
    if found.found != NOT_INSTALLED:
        return found
    return Finding(name, "note", f"{NOT_INSTALLED}; {need}", f"pip install 'speckflex[{extra}]'")


def _samna(*, needed: bool) -> Finding:
    installed, state = find_samna(), "missing" if needed else "note"
    if installed.kind == "real":
        return _samna_version(state)
    if installed.kind == "stub":
        return Finding(
            "samna",
            state,
            f"{installed.version}, the package index's stub: it has no compiled part",
            f"{FETCH}; twin and virtual boards work without it",
        )
    return Finding(
        "samna",
        state,
        "not installed; only a chip needs it",
        f"pip install samna, then {FETCH}",
    )


def _samna_version(state: Literal["missing", "note"]) -> Finding:
    """Return what the version of the vendor's samna means for a board."""
    installed = find_samna()
    found = f"{installed.version or 'of unknown version'}, the vendor's"
    remedy = "pip install --upgrade samna"
    if installed.is_too_old:
        oldest = ".".join(map(str, OLDEST_VERSION))
        return Finding("samna", state, f"{found}, older than {oldest}", remedy)
    lacks = [
        f"{'.'.join(map(str, version))} {what}"
        for version, what in VERSION_NOTES.items()
        if installed.numbers and installed.numbers < version
    ]
    if lacks:
        return Finding("samna", "note", f"{found}; {'; '.join(lacks)}", remedy)
    return Finding("samna", "ok", found)


def _usb(*, needed: bool) -> Finding:
    """Return which devkits are plugged in, and whether this user may write to them."""
    state = "missing" if needed else "note"
    present = _usb_devices()
    kits = [(DEVKITS[number], node) for number, node in present if number in DEVKITS]
    if not kits and any(number == ON_USB_2 for number, _ in present):
        return Finding(
            "USB",
            state,
            f"a devkit on a port of USB 2 ({ON_USB_2})",
            "plug the devkit into a port of USB 3",
        )
    if not kits:
        return Finding(
            "USB",
            state,
            "no Speck devkit is plugged in",
            "plug the devkit in; in a container, pass /dev/bus/usb and /sys/bus/usb through to it",
        )
    names = ", ".join(name for name, _ in kits)
    locked = [node for _, node in kits if not os.access(node, os.R_OK | os.W_OK)]
    if not locked:
        return Finding("USB", "ok", names)
    return Finding(
        "USB",
        state,
        f"{names}; this user may not write to {', '.join(map(str, locked))}",
        f"run '{RULE_SCRIPT}' of samna as root, then plug the devkit in again",
    )


def _usb_devices() -> list[tuple[str, Path]]:
    """Return "vendor:product" and the device file of everything on the USB."""
    found = []
    for folder in sorted(SYS_FOLDER.glob("*")) if SYS_FOLDER.is_dir() else []:
        names = ("idVendor", "idProduct", "busnum", "devnum")
        try:
            vendor, product, bus, device = (
                (folder / name).read_text(encoding="ascii").strip() for name in names
            )
            node = USB_FOLDER / f"{int(bus):03d}" / f"{int(device):03d}"
        except (OSError, ValueError):
            # a hub's interface, or a device that is just being unplugged
            continue
        found.append((f"{vendor}:{product}".lower(), node))
    return found


def _udev() -> Finding:
    """Return whether a udev rule names the vendor."""
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
        f"run '{RULE_SCRIPT}' as root, which samna 0.45.2 and newer installs, then plug the devkit"
        " in again",
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
