"use strict";
// Blind pairs, judged one after another. What was said lies in this browser's storage at once, and in a file when saved.
const TEXTS = JSON.parse(document.getElementById("judge-texts").textContent);
const DATA = JSON.parse(document.getElementById("judge-data").textContent);
const KEY = `medscale-judging-${DATA.set}`;
const LANGUAGE_KEY = "medscale-language";  // the report's, whose values are en and zh-CN
const VALUES = ["1", "equal", "2"];
const LABELS = { 1: "first", equal: "equal", 2: "second" };
const ids = new Set(DATA.pairs.map((pair) => pair.pair));
const byId = (id) => document.getElementById(id);

/** @type {{judge: string, place: number, verdicts: Object<string, Object>, filed: Object<string, string>}} */
let state = { judge: "", place: -1, verdicts: {}, filed: {} };  // place −1 is the start page, the last one the end page
let language = /^zh/i.test(navigator.language || "") ? "zh" : "en";
let storage = true;
let current = 0;  // the criterion that the number keys answer
let said = "";

function stored(key) {
  try { return localStorage.getItem(key); } catch { storage = false; return null; }
}

/** Write to the browser's storage and read it back: some say yes and keep nothing. */
function store(key, text) {
  try {
    localStorage.setItem(key, text);
    storage = localStorage.getItem(key) === text;
  } catch { storage = false; }
}

function word(key, values = {}) {
  return TEXTS[key][language]
    .replace(/\{(\w+):([^|}]*)\|([^}]*)\}/g, (_, name, one, many) => values[name] === 1 ? one : many)
    .replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Make an element; strings among the children become text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const verdictOf = (pair) => state.verdicts[pair.pair] || {};
const isFull = (verdict) => DATA.asked.every((criterion) => verdict[criterion]);
const count = () => DATA.pairs.filter((pair) => isFull(verdictOf(pair))).length;
const hasSaid = (verdict) => DATA.asked.some((criterion) => verdict[criterion]);
/** Return a verdict as a line of the file: what it says, always in the same order. */
function line(id, verdict) {
  const row = { pair: id, judge: state.judge };
  for (const key of [...DATA.asked, "comment", "at"]) if (verdict[key]) row[key] = verdict[key];
  return JSON.stringify(row);
}
const lines = () => DATA.pairs.filter((pair) => hasSaid(verdictOf(pair))).map((pair) => line(pair.pair, verdictOf(pair)));
const notFiled = () => DATA.pairs.filter((pair) => hasSaid(verdictOf(pair)) && state.filed[pair.pair] !== line(pair.pair, verdictOf(pair))).length;

function keep() {
  store(KEY, JSON.stringify(state));
  showFrame();
}

function say(pair, changes) {
  state.verdicts[pair.pair] = { ...verdictOf(pair), ...changes, at: new Date().toISOString() };
  keep();
}

function go(place) {
  state.place = Math.max(-1, Math.min(DATA.pairs.length, place));
  current = 0;
  said = "";
  keep();
  show();
  scrollTo(0, 0);
  byId("page").focus({ preventScroll: true });
}

const open = () => DATA.pairs.findIndex((pair) => !isFull(verdictOf(pair)));

function begin() {
  const name = byId("judge").value.split(/\s+/).filter(Boolean).join(" ");
  if (!name) { said = word("name_needed"); show(); byId("judge").focus(); return; }
  state.judge = name;
  const first = open();
  go(first < 0 ? DATA.pairs.length : first);
}

function fileName() {
  const name = state.judge.replace(/[^\p{L}\p{N}_-]+/gu, "-").slice(0, 40) || "judge";
  return `verdicts-${name}-${DATA.set}.jsonl`;
}

function filed() {
  for (const pair of DATA.pairs) if (hasSaid(verdictOf(pair))) state.filed[pair.pair] = line(pair.pair, verdictOf(pair));
  keep();
  show();
}

function save() {
  const address = URL.createObjectURL(new Blob([lines().join("\n") + "\n"], { type: "application/x-ndjson" }));
  // Where a browser shows files instead of saving them, it must not show one in place of this page.
  const link = make("a", { href: address, download: fileName(), target: "_blank", hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  filed();
}

/** A file that the phone can send; other types than plain text are not sent by every browser. */
function shared() {
  try { return new File([lines().join("\n") + "\n"], fileName() + ".txt", { type: "text/plain" }); } catch { return null; }
}

const canShare = () => {
  const file = shared();
  return Boolean(file && navigator.canShare && navigator.share && navigator.canShare({ files: [file] }));
};

async function share() {
  try { await navigator.share({ files: [shared()] }); filed(); } catch { /* not sent: it stays unsaved */ }
}

/** Return the text of a file that an editor may have saved in another encoding, as judge_import reads it too. */
function textOf(bytes) {
  const mark = new Uint8Array(bytes.slice(0, 2)).join();
  if (mark === "255,254" || mark === "254,255") return new TextDecoder(mark === "255,254" ? "utf-16le" : "utf-16be").decode(bytes);
  try { return new TextDecoder("utf-8", { fatal: true }).decode(bytes); } catch { return new TextDecoder("gb18030").decode(bytes); }
}

/** What every browser can do, one inside a chat too, which saves no files: the text itself, to be copied. */
function copying() {
  const text = make("textarea", { id: "text", rows: "4", readonly: true, "aria-label": word("as_text") });
  text.value = lines().join("\n") + "\n";
  async function copy(event) {
    text.select();
    try { await navigator.clipboard.writeText(text.value); } catch { if (!document.execCommand("copy")) return; }
    event.target.textContent = word("copied");
  }
  return make("details", {}, make("summary", {}, word("no_file")), make("p", {}, word("copy_help", { file: fileName() })), text,
    make("button", { type: "button", class: "wide", id: "copy", onclick: copy }, word("copy")));
}

/** Take verdicts from a saved file: of these pairs and this judge, the later one where both have one. */
function take(text) {
  let taken = 0, other = 0, judge = "";
  for (const each of text.replace(/^\uFEFF/, "").split("\n")) {
    if (!each.trim()) continue;
    let row = null;
    try { row = JSON.parse(each); } catch { /* counted below */ }
    const own = row && typeof row === "object" && ids.has(row.pair) && typeof row.judge === "string" && (!state.judge || row.judge === state.judge) && (!judge || row.judge === judge);
    const verdict = {};
    if (own) {
      for (const criterion of DATA.asked) if (VALUES.includes(row[criterion])) verdict[criterion] = row[criterion];
      if (typeof row.comment === "string" && row.comment) verdict.comment = row.comment;
      if (typeof row.at === "string") verdict.at = row.at;
    }
    if (!hasSaid(verdict)) { other += 1; continue; }
    judge = row.judge;
    taken += 1;
    const before = state.verdicts[row.pair];
    if (!before || (before.at || "") <= (verdict.at || "")) state.verdicts[row.pair] = verdict;
  }
  if (!state.judge) state.judge = judge;
  for (const pair of DATA.pairs) if (text.includes(line(pair.pair, verdictOf(pair)))) state.filed[pair.pair] = line(pair.pair, verdictOf(pair));
  said = taken ? word("loaded", { n: taken, other }) : word("not_loaded");
  keep();
  show();
}

byId("file").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  event.target.value = "";
  if (file) take(textOf(await file.arrayBuffer()));
});

function textCard(title, text, kind = "") {
  const shown = text.trim() ? make("p", { class: "text" }, text) : make("p", { class: "text empty" }, word("empty"));
  return make("section", { class: `card ${kind}` }, make("h2", {}, title), make("div", { class: text.length > 3000 ? "long" : "", tabindex: text.length > 3000 ? "0" : null }, shown));
}

function rubric(pair) {
  return DATA.asked.map((criterion, number) => make("fieldset", { "data-criterion": criterion, class: number === current ? "current" : "" },
    make("legend", {}, word(`criterion_${criterion}`), make("small", {}, word(`help_${criterion}`))),
    make("div", { class: "choices", role: "group", "aria-label": word("choices", { criterion: word(`criterion_${criterion}`) }) },
      ...VALUES.map((value) => make("button", {
        type: "button", "data-value": value, "aria-pressed": String(verdictOf(pair)[criterion] === value),
        onclick: () => choose(criterion, value),
      }, word(LABELS[value]))))));
}

/** Note a choice, and show it where it stands: on a phone a page that is drawn anew would jump. */
function choose(criterion, value) {
  const pair = DATA.pairs[state.place];
  say(pair, { [criterion]: value });
  const fields = [...document.querySelectorAll("fieldset")];
  current = Math.min(DATA.asked.indexOf(criterion) + 1, DATA.asked.length - 1);
  fields.forEach((field, number) => {
    field.classList.toggle("current", number === current);
    for (const button of field.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(verdictOf(pair)[field.dataset.criterion] === button.dataset.value));
    }
  });
  showBar();
}

function startPage() {
  const input = make("input", { type: "text", id: "judge", maxlength: "80", autocomplete: "name", value: state.judge });
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") begin(); });
  return [
    make("h1", {}, word("title")),
    make("p", {}, word("lead", { n: DATA.pairs.length })),
    make("dl", {}, ...DATA.asked.flatMap((criterion) => [make("dt", {}, word(`criterion_${criterion}`)), make("dd", {}, word(`help_${criterion}`))])),
    make("p", { class: "note" }, word("disclaimer")),
    make("label", { for: "judge" }, word("name")), input,
    said ? make("p", { class: "warning", role: "alert" }, said) : null,
    make("button", { type: "button", class: "wide primary", id: "begin", onclick: begin }, word(Object.keys(state.verdicts).length ? "go_on" : "begin")),
    make("button", { type: "button", class: "wide", onclick: () => byId("file").click() }, word("load")),
  ];
}

function pairPage() {
  const pair = DATA.pairs[state.place];
  const comment = make("textarea", { id: "comment", rows: "2", maxlength: "2000" });
  comment.value = verdictOf(pair).comment || "";
  comment.addEventListener("input", () => say(pair, { comment: comment.value }));
  const history = (pair.history || []).flatMap(([asked, replied]) => [`${word("asked")}：${asked}`, `${word("replied")}：${replied}`]);
  return [
    make("p", { class: "note" }, word("pair", { i: state.place + 1, n: DATA.pairs.length })),
    pair.system ? textCard(word("system"), pair.system) : null,
    history.length ? textCard(word("before"), history.join("\n")) : null,
    textCard(word("question"), pair.question),
    make("div", { class: "answers" }, textCard(word("answer", { i: 1 }), pair.answer_1), textCard(word("answer", { i: 2 }), pair.answer_2)),
    make("div", { class: "rubric" }, ...rubric(pair)),
    make("label", { for: "comment" }, word("comment")), comment,
    make("p", { class: "note keys" }, word("keys")),
  ];
}

function endPage() {
  const left = DATA.pairs.length - count(), unsaved = notFiled();
  // A phone hides what it downloads; it can send a file, or put it where its owner says.
  const sends = canShare(), first = sends && matchMedia("(pointer: coarse)").matches;
  const button = (id, action, primary) => make("button", { type: "button", class: primary ? "wide primary" : "wide", id, onclick: action }, word(id));
  const ways = [button("save", save, !first), ...(sends ? [button("share", share, first)] : [])];
  return [
    make("h1", {}, left ? word("finish_open", { n: left }) : word("finished")),
    make("p", { role: "status", id: "filed" }, unsaved ? word("unsaved", { n: unsaved }) : word("all_saved")),
    said ? make("p", { class: "warning", role: "alert" }, said) : null,
    ...(first ? ways.reverse() : ways),
    left ? make("button", { type: "button", class: "wide", onclick: () => go(open()) }, word("first_open")) : null,
    make("button", { type: "button", class: "wide", onclick: () => byId("file").click() }, word("load")),
    lines().length ? copying() : null,
  ];
}

function showBar() {
  const bar = byId("bar");
  bar.hidden = state.place < 0;
  const button = (key, action, kind = "") => make("button", { type: "button", class: kind, "data-action": key, onclick: action }, word(key));
  if (state.place >= DATA.pairs.length) bar.replaceChildren(button("previous", () => go(state.place - 1)), button("start", () => go(-1)));
  else if (state.place >= 0) {
    const full = isFull(verdictOf(DATA.pairs[state.place]));
    bar.replaceChildren(
      button("previous", () => go(state.place - 1)),
      button("save", () => go(DATA.pairs.length)),
      full ? button("next", () => go(state.place + 1), "primary") : button("skip", () => go(state.place + 1)));
  }
}

/** Show what stands around the page: how far it is, which language, and a warning where the browser forgets. */
function showFrame() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = word("title");
  byId("progress").textContent = word("progress", { done: count(), n: DATA.pairs.length });
  document.querySelector(".languages").setAttribute("aria-label", word("language"));
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === language));
  byId("warning").hidden = storage;
  byId("warning").textContent = storage ? "" : word("no_storage");
}

function show() {
  showFrame();
  const parts = state.place < 0 ? startPage() : state.place < DATA.pairs.length ? pairPage() : endPage();
  byId("page").replaceChildren(...parts.filter((part) => part != null));
  showBar();
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    const typed = byId("judge") && byId("judge").value;
    language = button.dataset.language;
    store(LANGUAGE_KEY, language === "zh" ? "zh-CN" : "en");
    show();
    if (byId("judge")) byId("judge").value = typed;
  });
}

addEventListener("keydown", (event) => {
  if (state.place < 0 || /^(INPUT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowLeft") go(state.place - 1);
  else if (event.key === "ArrowRight") go(state.place + 1);
  else if (state.place < DATA.pairs.length) {
    const value = { 1: "1", 2: "2", 0: "equal" }[event.key];
    if (value) choose(DATA.asked[current], value);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      current = (current + (event.key === "ArrowDown" ? 1 : DATA.asked.length - 1)) % DATA.asked.length;
      document.querySelectorAll("fieldset").forEach((field, number) => field.classList.toggle("current", number === current));
    } else return;
  } else return;
  event.preventDefault();
});

// Where the browser keeps nothing, leaving would lose what no file has; whether it saved one, it does not say.
addEventListener("beforeunload", (event) => { if (!storage && lines().length) event.preventDefault(); });

const known = stored(LANGUAGE_KEY);
if (known === "en" || known === "zh-CN") language = known === "en" ? "en" : "zh";
try {
  const before = JSON.parse(stored(KEY) || "null");
  if (before && typeof before === "object" && before.verdicts && typeof before.judge === "string") state = { ...state, ...before };
} catch { /* not ours: begin anew */ }
state.place = Number.isInteger(state.place) ? Math.max(-1, Math.min(DATA.pairs.length, state.place)) : -1;
if (!state.judge) state.place = -1;
store(KEY, JSON.stringify(state));
show();
