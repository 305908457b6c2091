"""Curves of several networks on one page: every figure stands there, at its place."""

import csv
import io
import re

import pytest

from speckflex.analysis.robustness import NoiseCurve, NoisePoint
from speckflex.report.charts._svg import WIDE
from speckflex.report.curves import (
    CurvePanel,
    CurvePoint,
    NetworkCurve,
    curve_chart,
    render_curves,
)
from speckflex.training.analyse import Analysis, Flatness
from speckflex.training.analysis_page import analysis_csv, analysis_page
from speckflex.training.sharpness import GradientLengths


def panel(*, percent=True):
    points = tuple(CurvePoint(level, 1 - level / 10, 0.5, 1.0) for level in (0.0, 1.0, 5.0))
    curves = (NetworkCurve("a<b>.pt", points), NetworkCurve("flat.pt", points[:1]))
    return CurvePanel("Lost events", "share lost", "accuracy", curves, percent=percent)


def circles(drawn, kind):
    found = re.findall(rf'<circle class="mark {kind}" cx="([\d.]+)" cy="([\d.]+)" r="3"', drawn)
    return [(float(x), float(y)) for x, y in found]


def test_points_stand_where_their_values_are():
    drawn = str(curve_chart(panel(), WIDE))
    (x0, y0), (x1, y1), (x2, y2) = circles(drawn, "other0")
    # levels at equal distances; values 1.0, 0.9 and 0.5 of an axis from 0.5 to 1.0
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(0.2, abs=0.01)
    assert len(circles(drawn, "other1")) == 1
    by_level = circles(str(curve_chart(panel(percent=False), WIDE)), "other0")
    assert (by_level[1][0] - by_level[0][0]) / (by_level[2][0] - by_level[0][0]) == pytest.approx(
        0.2, abs=0.01
    )


def test_names_are_escaped_and_nothing_is_loaded():
    page = render_curves("Two <networks>", ["words & words"], [panel()])
    assert "a<b>.pt" not in page
    assert "a&lt;b&gt;.pt" in page
    assert "Two &lt;networks&gt;" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    for value in ("100.0%", "90.0%", "50.0%"):
        assert value in page


def test_levels_of_one_value_are_drawn_too():
    points = (CurvePoint(0.0, 0.5, 0.5, 0.5),)
    one = CurvePanel("t", "level", "loss", (NetworkCurve("a", points),), percent=False)
    assert len(circles(str(curve_chart(one, WIDE)), "other0")) == 1


def analysis(name, flatness=None):
    curves = tuple(
        NoiseCurve(kind, 0.75, (NoisePoint(2.0, 0.5, 0.25, 0.625),), 1.0, 3, 8)
        for kind in ("weights", "noise events", "lost events")
    )
    return Analysis(name, "0" * 64, 8, curves, flatness)


FLAT = Flatness(
    (-1.0, 0.0, 1.0), (3.0, 0.5, 4.0), (0.0,), ((0.75,) * 3,), (0.0, 1.0),
    ((0.75,) * 3, (0.4, 0.3, 0.5)), GradientLengths(1.5, 0.25),
)  # fmt: skip


def test_all_points_are_in_the_csv_and_those_of_torch_say_so():
    rows = list(csv.DictReader(io.StringIO(analysis_csv([analysis("a"), analysis("b", FLAT)]))))
    twin = [row for row in rows if "on the twin" in row["measure"]]
    # for each of three noises the plain accuracy and one level, for both networks
    assert len(twin) == 12
    torch = [row for row in rows if row not in twin]
    assert {row["model"] for row in torch} == {"b"}
    assert all("not a chip's" in row["measure"] for row in torch)
    assert len(torch) == 1 + 2 + 3
    noisy = next(row for row in torch if row["level"] == "1.0" and "input" in row["measure"])
    assert (noisy["mean"], noisy["lowest"], noisy["highest"]) == ("0.4", "0.3", "0.5")


def test_a_page_of_programs_has_no_part_of_torch():
    programs = analysis_page([analysis("a.speck")], "x", synthetic=True)
    assert "synthetic recordings of x" in programs
    assert "in torch" not in programs
    with_network = analysis_page([analysis("a.pt", FLAT)], "x", synthetic=False)
    assert "1.5 on the weights" in with_network
    assert with_network.count("in time steps in torch, not a chip&#39;s") >= 3
