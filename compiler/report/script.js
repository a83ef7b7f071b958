"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.value;
    const order = (a, b) => key(a) === undefined
      ? a.cells[column].textContent.localeCompare(b.cells[column].textContent)
      : key(a) - key(b);
    const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? order(b, a) : order(a, b)));
    table.tBodies[0].append(...rows);
  }));
}
for (const button of document.querySelectorAll("button[data-zoom]")) {
  button.addEventListener("click", () => {
    const picture = button.parentElement.querySelector("img, svg");
    const factor = Math.min(Math.max((Number(picture.dataset.factor) || 1) * Number(button.dataset.zoom), 1), 16);
    picture.dataset.factor = factor;
    picture.style.maxWidth = "none";
    picture.style.width = `${100 * factor}%`;
  });
}
