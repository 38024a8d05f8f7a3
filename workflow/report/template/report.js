// What every part of the page uses: elements, words, numbers; and the page's own controls.

/** Make an element; strings among the children become text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const space = make.svg.has(tag) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}
make.svg = new Set(["svg", "g", "path", "line", "circle", "rect", "text", "polyline"]);

const readData = (id) => JSON.parse(document.getElementById(id).textContent);
const WORDS = readData("texts-data");
const LANGUAGES = { en: "en", "zh-CN": "zh" };
let language = LANGUAGES[document.documentElement.lang] || "en";
const listeners = [];  // called after the language changed

/** Return a text in the page's language, with {…} filled in. */
function word(key, values = {}) {
  return WORDS[key][language].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Write a number as the tables do; a dash where there is none. */
function figure(value, digits = 0, sign = false) {
  if (value == null) return "–";
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  if (!/[1-9]/.test(text)) return text.replace("-", "");  // what is written as zero has no sign
  return ((sign && value > 0 ? "+" : "") + text).replace("-", "−");
}

const METHOD_MARKS = ["lora", "qlora", "base", "floor"];
const markClass = (kind) => `mark mark-${METHOD_MARKS.includes(kind) ? kind : "other"}`;

function showLanguage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === document.documentElement.lang));
  }
  for (const name of ["aria-label", "alt"]) {
    for (const element of document.querySelectorAll(`[data-${name}-en]`)) {
      element.setAttribute(name, element.getAttribute(`data-${name}-${language}`));
    }
  }
  document.title = document.querySelector("title").getAttribute(`data-text-${language}`);
}

function setLanguage(code) {
  document.documentElement.lang = code;
  language = LANGUAGES[code];
  try { localStorage.setItem("medscale-language", code); } catch { /* storage is blocked: the choice holds for this visit */ }
  showLanguage();
  for (const listener of listeners) listener();
}

/** Sort a table's rows by one column; cells that were not measured stay last in either direction. */
function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const rows = [...body.rows].map((row) => ({ row, key: key(row) }));
  rows.sort((one, other) => {
    if (one.key === null || other.key === null) return (one.key === null) - (other.key === null);
    const order = typeof one.key === "string" ? one.key.localeCompare(other.key) : one.key - other.key;
    return descending ? -order : order;
  });
  body.append(...rows.map((item) => item.row));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    sortTable(table, column, descending);
  }));
}

/** Buttons that show one metric of a section at a time. */
function makeChoice(group) {
  const section = group.closest("section");
  group.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    for (const button of group.children) button.setAttribute("aria-pressed", String(button === chosen));
    for (const block of section.querySelectorAll(".metric-block")) {
      block.classList.toggle("later", block.dataset.metric !== chosen.dataset.metric);
    }
  });
}

function makeZoom(button) {
  button.addEventListener("click", () => {
    const zoomed = button.closest("figure").classList.toggle("zoomed");
    button.setAttribute("aria-pressed", String(zoomed));
  });
}

/** Mark in the contents which section is being read. */
function followContents() {
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(entry.target.id);
      link.setAttribute("aria-current", "true");
      const list = link.closest("ol");
      if (list.scrollWidth > list.clientWidth) list.scrollLeft = link.offsetLeft - list.clientWidth / 3;
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const id of links.keys()) observer.observe(document.getElementById(id));
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => setLanguage(button.dataset.language));
}
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".choice").forEach(makeChoice);
document.querySelectorAll(".zoom").forEach(makeZoom);
// On paper there is nothing to open.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
showLanguage();
followContents();
