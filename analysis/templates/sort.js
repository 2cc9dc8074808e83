// Tables of class "sortable": a click or Enter on a heading sorts by it, again the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, at) => {
    const cell = row.cells[at];
    const text = cell.dataset.key ?? cell.textContent.trim();
    const number = Number(text.replace(/[\u202f\u2009,]/g, "").replace("\u2212", "-"));
    return text === "" || text === "\u2013" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row, index) => ({ row, index, value: key(row, at) }));
      rows.sort((a, b) => {
        const absent = a.value === null || b.value === null;
        const order = compare(a.value, b.value);
        return (down && !absent ? -order : order) || a.index - b.index;
      });
      body.append(...rows.map(({ row }) => row));
    });
  });
}
