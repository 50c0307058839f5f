// Search, columns, and light or dark; one sound at a time. Without it the page shows everything.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const cards = all(".card").map((card) => ({ card, search: card.dataset.search, facts: JSON.parse(card.dataset.facts) }));
  const find = one("#find"), by = all("select.by"), matches = one("#matches");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = by.filter((select) => select.value !== "").map((select) => [select.dataset.column, select.value]);
    let shown = 0;
    for (const { card, search, facts } of cards) {
      const fits = words.every((word) => search.includes(word)) && wanted.every(([name, value]) => facts[name] === value);
      card.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    matches.textContent = words.length || wanted.length ? `${shown} of ${cards.length}` : "";
  };
  find.addEventListener("input", filter);
  for (const select of by) select.addEventListener("change", filter);
  one(".find").addEventListener("submit", (event) => event.preventDefault());
  one(".find").hidden = false;

  document.addEventListener("play", (event) => {
    for (const other of all("audio")) if (other !== event.target) other.pause();
  }, true);

  const theme = one("#theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const paint = () => { theme.setAttribute("aria-pressed", String(isDark())); };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    paint();
  });
  system.addEventListener("change", paint);
  theme.hidden = false;
  paint();
  document.documentElement.dataset.ready = "yes";
})();
