"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.value;
    const text = (row) => row.cells[column].textContent;
    const order = (a, b) => key(a) === undefined && key(b) === undefined
      ? text(a).localeCompare(text(b))
      : (key(a) ?? -Infinity) - (key(b) ?? -Infinity);
    const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? order(b, a) : order(a, b)));
    table.tBodies[0].append(...rows);
  }));
}
for (const button of document.querySelectorAll("button[data-zoom]")) {
  button.addEventListener("click", () => {
    const picture = button.parentElement.querySelector("img, svg");
    const width = picture.dataset.width ??= picture.style.width || "100%";
    const factor = Math.min(Math.max((Number(picture.dataset.factor) || 1) * Number(button.dataset.zoom), 1), 16);
    picture.dataset.factor = factor;
    picture.style.maxWidth = factor > 1 ? "none" : "";
    picture.style.width = `calc(${factor} * ${width})`;
  });
}
