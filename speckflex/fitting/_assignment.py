"""Rows of a table on columns of their own: the cheapest way, or the rows that are too many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Assignment", "assign"]

NOBODY = -1


class Assignment(NamedTuple):
    """Which column each row has.

    Attributes:
        columns: of each row, in order; empty where not all rows can have one.
        crowd: rows that may go to fewer columns than they are; empty where all have one.
    """

    columns: tuple[int, ...] = ()
    crowd: tuple[int, ...] = ()


def assign(costs: np.ndarray) -> Assignment:
    """Return the assignment of least total cost, one column for each row.

    The rows come one after another. For each, the cheapest chain is searched in which it takes the
    column of another row, that row the column of a third one, and so on to a free column. Prices
    of rows and columns keep all costs in the search at 0 or above, so it is Dijkstra's (Kuhn 1955;
    Edmonds and Karp 1972). Rows whose chains reach no free column are too many for the columns
    that they can have (Hall's theorem).

    Args:
        costs: `(row, column)` floats, inf where a row can't have a column; no more rows than
            columns.
    """
    row_prices, column_prices = (np.zeros(size) for size in costs.shape)
    holders = np.full(costs.shape[1], NOBODY)  # the row of each column
    columns: dict[int, int] = {}
    for new_row in range(len(costs)):
        distances = np.full(costs.shape[1], np.inf)
        givers = np.full(costs.shape[1], NOBODY)  # the row that would take each column
        passed = np.zeros(costs.shape[1], bool)
        row, column, length = new_row, NOBODY, 0.0
        while row != NOBODY:
            through = length + costs[row] - row_prices[row] - column_prices
            nearer = ~passed & (through < distances)
            distances[nearer], givers[nearer] = through[nearer], row
            length = float(distances[~passed].min(initial=np.inf))
            if length == np.inf:
                return Assignment(crowd=tuple(sorted({new_row, *map(int, holders[passed])})))
            nearest = np.flatnonzero(~passed & (distances == length))
            # a free column, if there is one
            column = int(nearest[np.argmin(holders[nearest])])
            passed[column] = True
            row = int(holders[column])
        row_prices[new_row] += length
        others = passed & (holders != NOBODY)
        row_prices[holders[others]] += length - distances[others]
        column_prices[passed] -= length - distances[passed]
        while row != new_row:
            row = int(givers[column])
            holders[column], columns[row], column = row, column, columns.get(row, NOBODY)
    return Assignment(columns=tuple(columns[row] for row in range(len(costs))))
