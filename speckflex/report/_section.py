"""A section of a report: its facts, and how it shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from speckflex.report._parts import Spread

if TYPE_CHECKING:
    from typing_extensions import Self

    from speckflex.report._blocks import Block
    from speckflex.report.evidence import Evidence
    from speckflex.report.facts import Facts

__all__ = ["Section"]


class Section(Spread):
    """One section; a frozen dataclass that is a field of `Report`.

    Its fields are its facts: fields of report.json, unless their metadata is `parts.DRAWN`.

    Attributes:
        anchor: names the section on the page.
        title: its heading.
        columns: fields of a layer that it adds to layers.csv.
    """

    anchor: ClassVar[str]
    title: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def collect(cls, evidence: Evidence) -> Self | None:  # noqa: ARG003 - needed by facts
        """Return the section on the evidence; None where there is nothing to report."""
        return cls()

    def blocks(self, facts: Facts) -> list[Block]:
        """Return what texts show of the section: paragraphs and tables."""
        return []

    def page(self, facts: Facts) -> list[Block]:
        """Return what the page shows; without any block it leaves the section out."""
        return self.blocks(facts)
