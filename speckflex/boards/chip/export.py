"""A program as files for tools that know samna alone: configuration, flash image, script."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from string import Template
from typing import TYPE_CHECKING, Any

from speckflex._support.text import one_line
from speckflex.boards.chip._configuration import choose_input_path, write_configuration
from speckflex.boards.chip.attached import vendor_samna
from speckflex.boards.chip.settings import ChipSettings
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.samna_access import find_samna
from speckflex.version import __version__

if TYPE_CHECKING:
    from types import ModuleType

    from speckflex.program.program import Program

__all__ = ["ExportSettings", "Exported", "export_configuration", "export_flash", "export_script"]

FLASH_BYTES = 362_496  # samna 0.48.5, flash images
# What samna's bindings raise; they have no class of their own.
SAMNA_ERRORS = (RuntimeError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class ExportSettings:
    """What a configuration holds beside the program.

    Args:
        monitor: positions of the layers whose spikes leave the chip, -1 the last.
        sensor: let the events of the sensor in, through the DVS layer.
        chip: the settings of a session that are written, such as `readout_layer`; its
            `slow_clock` is what a script sets, Hz.
    """

    monitor: tuple[int, ...] = (-1,)
    sensor: bool = False
    chip: ChipSettings = field(default_factory=ChipSettings)


@dataclass(frozen=True)
class Exported:
    """A file's content.

    Args:
        content: all of it.
        layout: "samna" for what the vendor's samna wrote, "speckflex" for fields by samna's names.
        program_sha256: of the program.
    """

    content: bytes
    layout: str
    program_sha256: str

    @property
    def sha256(self) -> str:
        """The hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


def export_configuration(
    program: Program, settings: ExportSettings | None = None, *, samna: ModuleType | None = None
) -> Exported:
    """Return the configuration that makes a chip run a program, as JSON.

    samna's own text is known to samna alone. Where it is not installed, the JSON holds the fields
    that speckflex writes, by samna's names; all others stay as samna makes them.

    Args:
        program: with every layer placed on a core.
        settings: what is written beside the program.
        samna: the vendor's; None for the installed one, if there is one.

    Raises:
        BoardError: the program is for no chip, or the chip can't express it.
    """
    settings = settings or ExportSettings()
    if samna is None and find_samna().kind == "real":
        samna = vendor_samna()
    if samna is not None:
        text = _made(samna, program, settings).to_json()
        return Exported(str(text).encode(), "samna", program.sha256)
    values = {
        "speckflex": __version__,
        "program_sha256": program.sha256,
        "chip": program.chip,
        "layout": "fields by samna's names; samna's from_json is not known to take it",
        "configuration": _written(program, settings),
    }
    return Exported((json.dumps(values) + "\n").encode(), "speckflex", program.sha256)


def export_flash(
    program: Program, settings: ExportSettings | None = None, *, samna: ModuleType | None = None
) -> Exported:
    """Return the image for a board's flash, from which a chip boots without a computer.

    Args:
        program: as for `export_configuration`.
        settings: what is written beside the program.
        samna: the vendor's; None for the installed one.

    Raises:
        BoardError: the vendor's samna is not installed, the program can't be an image, or samna did
            not make one.
    """
    for core in program.cores:
        if core.initial_state is not None and core.initial_state.any():
            raise BoardError(
                f"layer {core.name}: its neurons start at values of their own, and a flash image"
                " holds one value for all neurons: load the program over USB, or set the initial"
                " states to zero"
            )
    if samna is None:
        samna = _samna_for_flash()
    configuration = _made(samna, program, settings or ExportSettings())
    try:
        image = bytes(_chip_module(samna, program).configuration_to_flash_binary(configuration))
    except SAMNA_ERRORS as error:
        raise BoardError(f"samna made no flash image ({one_line(error)})") from error
    if len(image) != FLASH_BYTES:
        raise BoardError(
            f"samna made a flash image of {len(image)} bytes, and an image has {FLASH_BYTES}: write"
            " it with samna itself"
        )
    return Exported(image, "samna", program.sha256)


def export_script(
    program: Program, configuration: Exported, name: str, settings: ExportSettings | None = None
) -> Exported:
    """Return a script that loads an exported configuration with samna alone.

    Args:
        program: that was exported.
        configuration: as exported.
        name: of the configuration's file, which lies beside the script.
        settings: with which it was exported.
    """
    settings = settings or ExportSettings()
    names = program.chip_record.samna
    clock = settings.chip.slow_clock
    text = SCRIPT.substitute(
        version=__version__,
        program=program.sha256,
        chip=program.chip,
        module=names.module,
        device=names.devkit,
        file=ascii(name),
        sha256=configuration.sha256,
        clock=0 if clock is None else int(clock),
        fill=FROM_JSON if configuration.layout == "samna" else FIELD_BY_FIELD,
    )
    return Exported(text.encode(), configuration.layout, program.sha256)


def _samna_for_flash() -> ModuleType:
    try:
        return vendor_samna()
    except BoardNotFoundError as error:
        raise BoardError(
            f"{error}; no document says what stands where in a flash image, so speckflex makes none"
            " itself"
        ) from error


def _made(samna: ModuleType, program: Program, settings: ExportSettings) -> Any:
    """Return samna's configuration of a program.

    Raises:
        BoardError: the chip can't express it, or samna finds it not valid.
    """
    path = choose_input_path(program, "dvs layer" if settings.sensor else "auto")
    monitored = {layer % len(program.cores) for layer in settings.monitor}
    module = _chip_module(samna, program)
    made = write_configuration(module, program, monitored, path=path, settings=settings.chip)
    made.dvs_layer.pass_sensor_events = settings.sensor
    valid, sentence = module.validate_configuration(made)
    if not valid:
        raise BoardError(f"samna finds the configuration not valid: {one_line(sentence)}")
    return made


def _chip_module(samna: ModuleType, program: Program) -> Any:
    chip = program.chip_record
    if not chip.bounded:
        raise BoardError(
            f"the program was converted without a chip's limits (chip {chip.name!r}): convert it"
            " for a chip, such as speck2f"
        )
    return getattr(samna, chip.samna.module)


def _written(program: Program, settings: ExportSettings) -> dict[str, Any]:
    """Return the parts of a configuration that `write_configuration` writes, as plain types."""
    from speckflex.virtual import stand_in

    whole = json.loads(_made(stand_in(), program, settings).to_json())
    used = sorted(core.chip_core for core in program.cores if core.chip_core is not None)
    dvs = whole["dvs_layer"]
    # a monitor of the DVS layer lets the sensor in, so that this one is set behind it
    dvs["pass_sensor_events"] = dvs.pop("pass_sensor_events")
    written = {"cnn_layers": {str(i): whole["cnn_layers"][i] for i in used}, "dvs_layer": dvs}
    if program.input.event_filter is not None:
        written["dvs_filter"] = whole["dvs_filter"]
    if settings.chip.readout_layer:
        written["readout"] = whole["readout"]
    return written


FROM_JSON = """\
def fill(configuration, text):
    \"\"\"Set all fields of samna's configuration.\"\"\"
    configuration.from_json(text)"""

FIELD_BY_FIELD = """\
def fill(configuration, text):
    \"\"\"Set the fields of samna's configuration that the file has; the others stay.\"\"\"
    set_fields(configuration, json.loads(text)["configuration"])


def set_fields(record, values):
    for name, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = dict(enumerate(value))
        if not isinstance(value, dict):
            setattr(record, name, value)
        elif all(str(key).isdecimal() for key in value):
            items = getattr(record, name)
            for index, fields in value.items():
                set_fields(items[int(index)], fields)
        else:
            set_fields(getattr(record, name), value)"""

SCRIPT = Template('''\
"""Load a configuration onto a devkit with SynSense's samna, and print what its layers spike.

    python SCRIPT.py [SECONDS]

Made by speckflex $version for chip $chip from program $program.
"""

import collections
import hashlib
import json
import sys
import time
from pathlib import Path

import samna

FILE = $file
SHA256 = "$sha256"
DEVICE = "$device"
SLOW_CLOCK = $clock  # Hz, 0 for off


$fill


def main(seconds):
    """Load the file, listen, and return the open device and the number of spikes by layer."""
    text = Path(__file__).with_name(FILE).read_bytes()
    if hashlib.sha256(text).hexdigest() != SHA256:
        sys.exit(f"{FILE} is not the file that this script was made for: export both again")
    configuration = samna.$module.configuration.SpeckConfiguration()
    fill(configuration, text.decode())
    valid, reason = samna.$module.validate_configuration(configuration)
    if not valid:
        sys.exit(f"samna finds the configuration not valid: {reason}")
    device = samna.device.open_device(DEVICE)
    model = device.get_model()
    model.apply_configuration(configuration)
    if SLOW_CLOCK:
        device.get_io_module().set_slow_clk_rate(SLOW_CLOCK)
        device.get_io_module().set_slow_clk(True)
    sink = samna.BasicSinkNode_${module}_event_output_event()
    graph = samna.graph.EventFilterGraph()
    graph.sequential([model.get_source_node(), sink])
    graph.start()
    time.sleep(seconds)
    graph.stop()
    events = sink.get_events()
    spikes = [event.layer for event in events if isinstance(event, samna.$module.event.Spike)]
    return device, collections.Counter(spikes)


if __name__ == "__main__":
    opened, counts = main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    print("loaded", FILE, "spikes by core:", dict(counts))
    samna.device.close_device(opened)
''')
