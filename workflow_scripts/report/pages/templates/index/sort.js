"use strict";
// Sorting by the buttons in the headings of tables of class "sortable", the box that filters the list of cases, and what is
// folded unfolds on paper, but for that list.
function keyOf(row, column) {
  const text = row.cells[column].textContent.trim().replace(/−/g, "-");
  const number = parseFloat(text.replace(/^< */, ""));
  return Number.isNaN(number) || !/^[<\d+.-]/.test(text) ? text.toLowerCase() : number;
}
function compare(first, second) {
  const kinds = [first, second].map((key) => (key === "" || key === "–" ? 2 : typeof key === "string" ? 1 : 0));
  if (kinds[0] !== kinds[1]) return kinds[0] - kinds[1];
  return kinds[0] === 0 ? first - second : String(first).localeCompare(String(second));
}
function sortBy(table, heading, column) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("family"));
    const keyed = rows.map((row) => [keyOf(row, column), row]);
    keyed.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
    body.append(...keyed.map((pair) => pair[1]));
  }
}
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (!heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(table, heading, column));
  });
}
for (const box of document.querySelectorAll("input[data-filters]")) {
  const rows = document.getElementById(box.dataset.filters).tBodies[0].rows;
  box.closest("p").hidden = false;
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not(:has(.tall))")) one.open = true;
});
