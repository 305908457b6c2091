"""A report as strict JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from speckflex.report.strict import strict

__all__ = ["render_json"]

# A list of numbers that the encoder spread over lines; no string holds a raw line break.
NUMBER = r"(?:-?\d[\d.eE+-]*|null)"
SPREAD = re.compile(rf"\[\n\s+({NUMBER}(?:,\n\s+{NUMBER})*)\n\s+\]")


def render_json(report: dict[str, Any]) -> str:
    """Return the report's facts as indented JSON; the pictures' data stays out."""
    facts = {name: value for name, value in report.items() if name != "figures"}
    text = json.dumps(strict(facts), indent=2, allow_nan=False, ensure_ascii=False)
    return SPREAD.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
