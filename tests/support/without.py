"""Run commands in an interpreter where modules can't be imported, as if they were not installed.

    python tests/support/without.py torch,sinabs '[["check", "program.speck"]]'

Prints a JSON list with the exit code, the output and the exception of each command.
"""

import json
import sys


class Absence:
    """A finder that finds no module of some packages.

    Args:
        packages: their top-level names.
    """

    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, name, path=None, target=None):
        """Refuse a module as Python does where it is not installed."""
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def run(commands):
    """Return what each command gives."""
    from click.testing import CliRunner

    from speckflex.cli import main

    found = []
    for words in commands:
        result = CliRunner().invoke(main, words)
        crash = result.exception
        known = crash is None or isinstance(crash, SystemExit)
        text = result.output if known else f"{result.output}\n{crash!r}"
        found.append({"exit_code": result.exit_code, "output": text, "known": known})
    return found


def main():
    """Run the commands of the command line."""
    sys.meta_path.insert(0, Absence(set(sys.argv[1].split(","))))
    found = run(json.loads(sys.argv[2]))
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    sys.stdout.write(json.dumps({"commands": found, "loaded": loaded}))


if __name__ == "__main__":
    main()
