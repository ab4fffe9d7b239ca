"use strict";

/** Return what a cell of a table is sorted by: its number where all of the column are numbers. */
function sortedBy(cell, isNumber) {
  return isNumber ? Number(cell.dataset.value ?? cell.textContent) : cell.textContent;
}

function isNumberCell(cell) {
  const text = cell.dataset.value ?? cell.textContent;
  return text === "" || !Number.isNaN(Number(text));
}

/** Sort a table by one of its columns; rows without a value stay last. */
function sortTable(table, k, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const isNumber = rows.every((row) => isNumberCell(row.cells[k]));
  const keyed = rows.map((row) => ({ row, key: sortedBy(row.cells[k], isNumber) }));
  const isEmpty = (one) => one.row.cells[k].textContent === "";
  keyed.sort((a, b) => {
    if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b);
    const order = isNumber ? a.key - b.key : a.key.localeCompare(b.key, "en", { numeric: true });
    return descending ? -order : order;
  });
  body.append(...keyed.map((one) => one.row));
}

for (const table of document.querySelectorAll("table.sorts")) {
  [...table.tHead.rows[0].cells].forEach((head, k) => {
    head.querySelector("button").addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortTable(table, k, descending);
    });
  });
}
