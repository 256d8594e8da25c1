// Tables sort by their heads, and long ones filter by a word; without a script they are plain.
"use strict";
(() => {
  const LONG = 8;

  const valueOf = (cell) => {
    const text = cell.textContent.trim();
    const number = /^[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?/i.exec(text);
    return number ? Number(number[0].replaceAll(",", "")) : text.toLowerCase();
  };

  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1; // what is unknown comes last
  };

  const sortBy = (table, heads, column) => {
    const body = table.tBodies[0];
    const direction = heads[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const keyed = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
    keyed.sort((a, b) => direction * compare(a[0], b[0]));
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    body.append(...keyed.map((pair) => pair[1]));
  };

  const addFilter = (table, name) => {
    const rows = [...table.tBodies[0].rows];
    const label = document.createElement("label");
    const input = document.createElement("input");
    const count = document.createElement("span");
    label.className = "filter";
    input.type = "search";
    count.setAttribute("role", "status");
    label.append("Filter rows ", input, " ", count);
    input.setAttribute("aria-label", `Filter rows: ${name}`);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
      const left = rows.filter((row) => !row.hidden).length;
      count.textContent = wanted ? `${left} of ${rows.length}` : "";
    });
    const place = table.closest(".scroll") ?? table;
    place.before(label);
  };

  for (const table of document.querySelectorAll("main table")) {
    const rows = table.tBodies[0]?.rows.length ?? 0;
    if (table.tHead?.rows.length !== 1 || rows < 2 || table.classList.contains("plain")) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, heads, column));
      head.append(button);
    });
    if (rows >= LONG) addFilter(table, table.closest(".scroll")?.getAttribute("aria-label") ?? "table");
  }

  // Paper can't be opened: what is folded prints, and folds again.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => { folded.forEach((each) => { each.open = false; }); });
})();
