// Search, tags, sorting, folding, copying, colours, and one box for hover and focus. Without it the page is a document.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const models = JSON.parse(one("#models").textContent);

  // --- search and tags -----------------------------------------------------------------------------------------------
  const find = one("#find"), tag = one("#tag"), matches = one("#matches");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = tag ? tag.value : "";
    const shown = new Set();
    for (const model of models) {
      const text = model.search;
      if (words.every((word) => text.includes(word)) && (!wanted || model.tags.includes(wanted))) shown.add(model.key);
    }
    const filtering = words.length > 0 || wanted !== "";
    for (const row of all("tr[data-m]")) row.hidden = filtering && !row.dataset.m.split(" ").some((key) => shown.has(key));
    for (const table of all("table[data-fold]")) fold(table, filtering);
    matches.textContent = filtering ? `${shown.size} of ${models.length}` : "";
  };

  // --- long tables unfold ---------------------------------------------------------------------------------------------
  const fold = (table, filtering) => {
    if (!table.unfold) return;
    table.classList.toggle("folded", !filtering && table.dataset.open !== "yes");
    table.unfold.hidden = filtering;
  };
  const foldable = (table) => {
    const most = Number(table.dataset.fold), count = table.tBodies[0].rows.length;
    if (count <= most + 5) return;
    if (one(".rest", table) === null) [...table.tBodies[0].rows].forEach((row, place) => row.classList.toggle("rest", place >= most));
    const button = document.createElement("button");
    button.type = "button";
    button.className = "unfold";
    const say = () => { button.textContent = table.dataset.open === "yes" ? `Show the first ${most}` : `Show all ${count}`; };
    button.addEventListener("click", () => {
      table.dataset.open = table.dataset.open === "yes" ? "no" : "yes";
      say();
      fold(table, false);
    });
    say();
    table.unfold = button;
    table.closest(".wide").after(button);
    fold(table, false);
  };

  // --- sorting --------------------------------------------------------------------------------------------------------
  const number = (text) => {
    const found = text.replace(/,/g, "").replace(/\u2212/g, "-").match(/-?(\d+(\.\d+)?|\.\d+)(e-?\d+)?/);
    return found ? Number(found[0]) : NaN;
  };
  const cellText = (cell) => (one(".value", cell) || cell).textContent.trim();
  const sort = (table, head, column) => {
    const down = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.dataset.sort === "text");
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    const numeric = head.dataset.sort === "number", sign = down ? 1 : -1;
    const rows = all("tbody > tr", table).map((row, place) => {
      const text = cellText(row.cells[column]);
      return { row, place, text, value: numeric ? number(text) : 0 };
    });
    rows.sort((a, b) => {
      if (!numeric) return sign * a.text.localeCompare(b.text) || a.place - b.place;
      const empty = Number.isNaN(a.value) - Number.isNaN(b.value);  // what has no value is last, either way
      return empty || sign * (a.value - b.value) || a.place - b.place;
    });
    table.tBodies[0].append(...rows.map((item) => item.row));
    if (table.unfold) rows.forEach((item, place) => item.row.classList.toggle("rest", place >= Number(table.dataset.fold)));
    if (table.dataset.fold) fold(table, one("#find").value !== "" || (tag && tag.value !== ""));
    rove(table);
  };
  const sortable = (table) => {
    all("thead th", table).forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      const label = one(".head", head) || head;
      if (one("a", label)) {  // a word of the glossary stays a link of its own
        button.setAttribute("aria-label", `Sort by ${label.textContent.trim()}`);
        label.append(button);
      } else if (label === head) {
        const texts = [...head.childNodes].filter((node) => !(node.classList && node.classList.contains("axis")));
        button.append(...texts);
        head.prepend(button);
      } else {
        button.append(...label.childNodes);
        label.append(button);
      }
      button.addEventListener("click", () => sort(table, head, column));
    });
  };

  // --- one box for hover and focus ------------------------------------------------------------------------------------
  const box = one("#box");
  const plain = (text) => document.createTextNode(text);
  const place = (target) => {
    const at = target.getBoundingClientRect();
    box.hidden = false;
    const width = box.offsetWidth, height = box.offsetHeight;
    const left = Math.min(Math.max(8, at.left + Math.min(at.width / 2, 160) - width / 2), innerWidth - width - 8);
    box.style.left = `${left}px`;
    box.style.top = `${at.top - height - 8 > 8 ? at.top - height - 8 : at.bottom + 8}px`;
  };
  const headline = (head) => {
    const copy = head.cloneNode(true);
    all(".axis, button.sort[aria-label]", copy).forEach((part) => part.remove());
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  const fill = (title, pairs) => {
    const name = document.createElement("b");
    name.append(plain(title));
    const list = document.createElement("dl");
    for (const [key, value] of pairs) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.append(plain(key));
      dd.append(plain(value));
      list.append(dt, dd);
    }
    box.replaceChildren(name, list);
  };
  const describeCell = (cell) => {
    const row = cell.parentElement, table = row.closest("table");
    const heads = all("thead th", table), name = row.cells[0].textContent.replace(/\s+/g, " ").trim();
    if (table.matches(".regions, .grid")) {
      const pairs = [[headline(heads[cell.cellIndex]), cellText(cell) || "–"]];
      if (cell.dataset.box) pairs.push([table.matches(".stages") ? "± error" : "spread", cell.dataset.box]);
      fill(name, pairs);
    } else {
      const pairs = [];
      [...row.cells].forEach((other, column) => {
        if (column === 0 || (other.classList.contains("plot"))) return;
        const more = other.dataset.box ? ` (${other.dataset.box})` : "";
        pairs.push([headline(heads[column]), other.textContent.replace(/\s+/g, " ").trim() + more]);
      });
      fill(name, pairs);
    }
    place(cell);
  };
  const describeTerm = (link) => {
    const entry = document.getElementById(link.hash.slice(1));
    if (!entry) return;
    const name = document.createElement("b"), text = document.createElement("p");
    name.append(plain(one("dt", entry).textContent));
    text.append(plain(one("dd", entry).textContent));
    box.replaceChildren(name, text);
    place(link);
  };
  const hide = () => { box.hidden = true; };
  const target = (event) => event.target.closest && event.target.closest("td.plot, .grid td, a.term");
  const show = (event) => {
    const found = target(event);
    if (!found) return;
    for (const cell of found.matches("td") ? all("td[title]", found.parentElement) : []) {
      cell.dataset.box = cell.title;  // the browser's own hint would be a second box
      cell.removeAttribute("title");
    }
    if (found.matches("a.term")) describeTerm(found);
    else if (one(".strip", found)) describeCell(found);
  };
  document.addEventListener("mouseover", show);
  document.addEventListener("mouseout", (event) => { if (target(event)) hide(); });
  document.addEventListener("focusin", show);
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true });

  // --- keyboard: one stop per table, arrows inside --------------------------------------------------------------------
  const stops = (table) => all("td.plot, .grid td", table).filter((cell) => one(".strip", cell) && cell.offsetParent);
  const rove = (table) => {
    if (table.stop) table.stop.tabIndex = -1;
    const first = one("td.plot .strip, .grid td .strip", table);
    const start = table.matches(".grid") ? one("tbody td", table) : first && first.closest("td");
    if (start) start.tabIndex = 0;
    table.stop = start;
  };
  const STEPS = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };
  document.addEventListener("keydown", (event) => {
    const cell = document.activeElement, step = STEPS[event.key];
    if (!step || !cell.matches || !cell.matches("td[tabindex]")) return;
    const cells = stops(cell.closest("table"));
    const next = step[0]
      ? (step[0] > 0 ? cells : cells.reverse()).find((other) => other.cellIndex === cell.cellIndex
        && step[0] * (other.parentElement.rowIndex - cell.parentElement.rowIndex) > 0)
      : cells.find((other) => other.parentElement === cell.parentElement && other.cellIndex === cell.cellIndex + step[1]);
    if (!next) return;
    event.preventDefault();
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.closest("table").stop = next;
    next.focus();
  });

  // --- copying --------------------------------------------------------------------------------------------------------
  const tableText = (table) => all("tr", table).filter((row) => !row.hidden).map((row) =>
    [...row.cells].filter((cell) => !(cell.matches("td.plot") && !one(".value", cell)) && !(cell.matches("th.plot") && !cell.dataset.sort))
      .map((cell) => (cell.matches("th.plot, thead th") ? headline(cell) : cellText(cell)).replace(/\s+/g, " ")).join("\t")).join("\n");
  const write = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const button of all("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      await write(source.matches("table") ? tableText(source) : source.innerText);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // --- light and dark -------------------------------------------------------------------------------------------------
  const theme = one("#theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const paint = () => { theme.setAttribute("aria-pressed", String(isDark())); };
  const remembered = (value) => {
    try {
      return value ? localStorage.setItem("isocortex-theme", value) : localStorage.getItem("isocortex-theme");
    } catch {
      return null;  // a browser that keeps nothing for files
    }
  };
  const before = remembered();
  if (before === "dark" || before === "light") document.documentElement.dataset.theme = before;
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remembered(document.documentElement.dataset.theme);
    paint();
  });
  system.addEventListener("change", paint);
  theme.hidden = false;
  paint();

  // --- where one is ---------------------------------------------------------------------------------------------------
  const links = new Map(all(".side a[href^='#']").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || !links.has(entry.target.id)) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id).setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  all("main > section[id]").forEach((section) => seen.observe(section));
  const menu = one(".menu");
  menu.addEventListener("click", (event) => { if (event.target.closest("a")) menu.open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") menu.open = false; });
  addEventListener("beforeprint", () => all("details.more").forEach((part) => { part.open = true; }));

  one(".find").hidden = false;
  one(".find").addEventListener("submit", (event) => event.preventDefault());
  find.addEventListener("input", filter);
  if (tag) tag.addEventListener("change", filter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, select, textarea")) {
      event.preventDefault();
      find.focus();
    }
  });
  for (const table of all("table.sortable")) sortable(table);
  for (const table of all("table[data-fold]")) foldable(table);
  for (const table of all("table")) rove(table);
  document.documentElement.dataset.ready = "yes";
})();
