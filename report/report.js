// Sorts a table by the column whose heading is clicked. Without this script, the rows
// stay in the order of the most denials.
"use strict";
for (const heading of document.querySelectorAll("th[data-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = heading.textContent;
  heading.replaceChildren(button);
  button.addEventListener("click", () => {
    const descends = heading.getAttribute("aria-sort") ? heading.getAttribute("aria-sort") === "ascending" : heading.dataset.sort === "number";
    const column = heading.cellIndex, rows = heading.closest("table").tBodies[0];
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const compare = heading.dataset.sort === "number" ? (a, b) => Number(a) - Number(b) : (a, b) => a.localeCompare(b);
    const sorted = [...rows.rows].sort((a, b) => compare(value(a), value(b)) * (descends ? -1 : 1));
    rows.append(...sorted);
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descends ? "descending" : "ascending");
  });
}
