"""The code blocks of the documentation: found, and run as a reader would."""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from speckflex.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUN = ("python", "console")
SHOWN = ("text", "json")  # nothing to run: output, formulas, contents of files
# A Python block that begins so is a file that the reader saves under that name.
FILE = re.compile(r"# (\w+\.py)\n")
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block of a page; `reason` says why it is not run, "" where it is."""

    page: Path
    line: int
    language: str
    code: str
    reason: str

    @property
    def place(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that the page shows below it."""

    words: tuple[str, ...]
    shown: tuple[str, ...]


def pages():
    examples = (ROOT / "examples").glob("**/README.md")
    return sorted([ROOT / "README.md", *DOCS.rglob("*.md"), *examples])


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            match["code"],
            (match["reason"] or "").strip(),
        )
        for match in FENCE.finditer(text)
    ]


def run_page(page):
    """Run a page's blocks in order, in the working folder, its Python in one namespace."""
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        if block.reason or block.language not in RUN:
            continue
        saved = FILE.match(block.code)
        if saved:
            Path(saved[1]).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.code, block.place, "exec"), namespace)  # noqa: S102  our own pages
        else:
            for command in commands(block.code):
                run_command(command, block.place)


def commands(code):
    """Return the commands behind `$`, with lines that end in a backslash joined."""
    parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a console block begins with $, not {parts[0]!r}"
    found = []
    for part in parts[1:]:
        line, *shown = part.replace("\\\n", " ").splitlines()
        found.append(Command(tuple(shlex.split(line)), tuple(filter(str.strip, shown))))
    return found


def run_command(command, place):
    """Run one command; it must end as the page says, and print what the page shows."""
    words, expected = list(command.words), 0
    if words[-2:-1] == ["||"] or "||" in words:
        raise AssertionError(f"{place}: shell syntax in {words}")
    if words[0] == "speckflex":
        result = CliRunner().invoke(main, words[1:], prog_name="speckflex")
        output, code = result.output, result.exit_code
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
    else:
        words[0] = sys.executable if words[0] == "python" else words[0]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
        output, code = done.stdout + done.stderr, done.returncode
    exits = [line for line in command.shown if line.startswith("(exit code ")]
    if exits:
        expected = int(exits[0].removeprefix("(exit code ").removesuffix(")"))
    assert code == expected, f"{place}: {shlex.join(command.words)} exits {code}:\n{output}"
    for line in command.shown:
        if line not in exits:
            assert is_printed(line, output), f"{place}: no line like {line!r} in\n{output}"


def is_printed(line, output):
    """Return whether some line is as shown; `...` stands for anything, spaces for any spaces."""
    pattern = ".*".join(
        r"\s+".join(map(re.escape, part.split())) if part.strip() else ""
        for part in line.split("...")
    )
    return any(
        re.fullmatch(r"\s*" + pattern.replace(".*", r"\s*.*\s*") + r"\s*", printed)
        for printed in output.splitlines()
    )
