"""Writes the table of facts into docs/hardware.md: `python tests/support/hardware_facts.py`."""

from __future__ import annotations

import re
from pathlib import Path

from speckflex.chips.facts import FACTS

PAGE = Path(__file__).parents[2] / "docs" / "hardware.md"
BLOCK = re.compile(r"(<!-- facts -->\n).*?(<!-- end -->)", re.DOTALL)


def facts_table() -> str:
    """Return the facts as a table in Markdown, the unknown ones first."""
    order = ("unknown", "inferred", "documented")
    rows = [
        "| subject | value | certainty | source | what would settle it |",
        "|---|---|---|---|---|",
    ]
    for item in sorted(FACTS, key=lambda item: order.index(item.certainty)):
        cells = (item.subject, item.value, item.certainty, item.source, item.experiment)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """Return a page with the table in its place."""
    return BLOCK.sub(lambda match: match[1] + facts_table() + match[2], text)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
