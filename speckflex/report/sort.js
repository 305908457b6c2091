"use strict";
// A heading of a sortable table sorts its rows: numbers by their size, words by the alphabet.
const valueOf = (row, column) => {
  const words = row.cells[column].textContent.trim();
  const number = Number.parseFloat(words);
  return Number.isNaN(number) ? words : number;
};
const compareValues = (a, b) => {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? -1 : 1;
};
for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement;
    const body = heading.closest("table").tBodies[0];
    const falling = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const column = heading.cellIndex;
    const rows = [...body.rows].sort((a, b) => compareValues(valueOf(a, column), valueOf(b, column)));
    body.append(...(falling ? rows.reverse() : rows));
  });
}
