"use strict";
(() => {
  // The first pictures are there when the page is, the others when they come near the window: a page of a thousand
  // queries opens at once.
  const FIRST = 400;
  const pictures = JSON.parse(document.getElementById("pictures").textContent);
  const show = (image) => { image.src = pictures[image.dataset.picture]; };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      entry.target.querySelectorAll("img[data-picture]").forEach(show);
      seen.unobserve(entry.target);
    }
  }, { rootMargin: "600px" });
  const queries = [...document.querySelectorAll(".query")];
  let left = FIRST;
  for (const query of queries) {
    const images = query.querySelectorAll("img[data-picture]");
    left -= images.length;
    if (left < 0) { seen.observe(query); continue; }
    images.forEach(show);
    query.style.contentVisibility = "visible"; // a screenshot of the whole page paints no other rows below the window
  }
  addEventListener("beforeprint", () => document.querySelectorAll("img[data-picture]").forEach(show));

  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const filter = document.getElementById("filter");
  if (!filter) return;
  const wrong = document.getElementById("wrong");
  const shown = document.getElementById("shown");
  const texts = queries.map((query) => query.textContent.toLowerCase());
  const apply = () => {
    const asked = filter.value.toLowerCase();
    let count = 0;
    queries.forEach((query, at) => {
      query.hidden = !texts[at].includes(asked) || Boolean(wrong && wrong.checked && !query.classList.contains("wrong"));
      count += query.hidden ? 0 : 1;
    });
    const total = queries.length.toLocaleString("en");
    shown.textContent = count === queries.length ? `${total} ${count === 1 ? "query" : "queries"}` : `${count.toLocaleString("en")} of ${total} queries`;
  };
  filter.addEventListener("input", apply);
  if (wrong) wrong.addEventListener("change", apply);

  const step = (by) => {
    const visible = queries.filter((query) => !query.hidden);
    const at = visible.findIndex((query) => query.contains(document.activeElement));
    const next = visible[at < 0 ? (by > 0 ? 0 : visible.length - 1) : Math.min(Math.max(at + by, 0), visible.length - 1)];
    if (next) { next.focus(); next.scrollIntoView({ block: "start" }); }
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === filter) { filter.value = ""; apply(); filter.blur(); }
    if (event.target.matches("input")) return;
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
    if (event.key === "/") { event.preventDefault(); filter.focus(); }
  });
})();
