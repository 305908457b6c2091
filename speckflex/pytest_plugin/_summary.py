"""What a run says at its end: tests that never ran on a chip, bars without a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from speckflex.pytest_plugin._choices import Choices

__all__ = ["Summary"]

NOT_ON_A_CHIP = "not on a chip"
# the figure that each bar is held against
MEASURED = {
    "max_spike_difference": "spike_difference",
    "min_accuracy": "accuracy",
    "min_accuracy_at": "accuracy_at",
}


class Summary:
    """Watches the results of a run; a plugin of its own, in the process that sums them up.

    Args:
        choices: the board and the bars of the run.
    """

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._reports: dict[str, pytest.TestReport] = {}
        self._measured: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in the result of a part of a test."""
        names = {name for name, _ in report.user_properties}
        self._measured |= names
        if "board_kind" in names:
            self._reports[report.nodeid] = report

    @property
    def _unused_bars(self) -> list[str]:
        stated = self._choices.bars.stated()
        return [bar for bar in stated if MEASURED[bar] not in self._measured]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run with a bar that no test held a figure against."""
        if self._unused_bars and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name bars without a figure, and let the last line count the tests without a chip."""
        for bar in self._unused_bars:
            option = "--" + bar.replace("_", "-")
            terminalreporter.write_line(
                f"missed: {option}: no test measured its figure: call"
                f" board_metrics.record_{MEASURED[bar].removeprefix('spike_')} in a test",
                red=True,
            )
        if self._reports and not self._choices.is_chip:
            terminalreporter.stats[NOT_ON_A_CHIP] = list(self._reports.values())
