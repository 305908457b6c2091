"""Reports: how far recordings differ and what a program costs, as one record and its renderings."""

from speckflex.report._as_csv import render_csv
from speckflex.report._as_json import render_json
from speckflex.report._as_markdown import render_markdown
from speckflex.report._as_text import render_text
from speckflex.report._as_trend import render_trend
from speckflex.report._files import read_report, save_report, write_report
from speckflex.report._metrics import trend_of_metrics
from speckflex.report.build import build_report
from speckflex.report.facts import SCHEMA
from speckflex.report.record import Report
from speckflex.report.trend import Trend, trend_of_reports

__all__ = [
    "SCHEMA",
    "Report",
    "Trend",
    "build_report",
    "read_report",
    "render_csv",
    "render_html",
    "render_json",
    "render_markdown",
    "render_text",
    "render_trend",
    "save_report",
    "trend_of_metrics",
    "trend_of_reports",
    "write_report",
]


def render_html(report: Report) -> str:
    """Return the report as one self-contained HTML page."""
    # jinja2 takes a while to import, and only this rendering needs them.
    from speckflex.report._as_html import render_html as render

    return render(report)
