(() => {
  const box = document.getElementById("rows");
  const bar = document.getElementById("filters");
  if (!box || !bar) return;
  const rows = [...box.querySelectorAll(".row")];
  const count = document.getElementById("row-count");
  const more = document.getElementById("row-more");
  const page = 20;
  let limit = page;
  const wanted = {};
  const show = () => {
    const matches = rows.filter((row) =>
      Object.entries(wanted).every(([arm, status]) => !status || row.dataset[arm] === status));
    const shown = new Set(matches.slice(0, limit));
    rows.forEach((row) => { row.hidden = !shown.has(row); });
    count.textContent = `${matches.length} of ${rows.length} rows match` +
      (matches.length > limit ? `, the first ${limit} shown` : "");
    more.hidden = matches.length <= limit;
  };
  bar.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-arm]");
    if (!button) return;
    wanted[button.dataset.arm] = button.dataset.status;
    for (const other of bar.querySelectorAll(`button[data-arm="${button.dataset.arm}"]`))
      other.setAttribute("aria-pressed", String(other === button));
    limit = page;
    show();
  });
  more.addEventListener("click", () => { limit += page; show(); });
  bar.hidden = false;
  show();
})();
