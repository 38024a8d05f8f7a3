// Answers side by side. The data is large, so it is read only when this part of the page comes near.
(function () {
  const host = document.getElementById("explorer");
  const state = { query: "", scope: "all", department: null, metric: null, run: null, other: null, descending: false, page: 0, perPage: 10, hidden: new Set() };
  const START = { ...state };
  let index = null;
  let order = [];
  let parts = {};

  const select = (label, name, options, value, change) => {
    const field = make("select", { name, onchange: (event) => change(event.target.value) });
    for (const [key, text] of options) field.append(make("option", { value: key }, text));
    field.value = value ?? "";
    return make("label", { class: "field" }, make("span", {}, label), field);
  };
  const number = (text) => (text === "" ? null : Number(text));
  const words = () => state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const metricNow = () => index.data.metrics.find((each) => each.key === state.metric);

  function change(values) {
    Object.assign(state, { page: 0 }, values);
    showControls();
    refresh();
  }

  /** Search after the last key; text that an input method is still composing is not searched. */
  function searchField() {
    let timer = null;
    const later = (event) => {
      if (event.isComposing) return;
      clearTimeout(timer);
      timer = setTimeout(() => { Object.assign(state, { query: event.target.value, page: 0 }); refresh(); }, 90);
    };
    const field = make("input", { type: "search", name: "query", autocomplete: "off", spellcheck: "false", placeholder: word("search_hint"), oninput: later, oncompositionend: later });
    field.value = state.query;
    return make("label", { class: "field wide" }, make("span", {}, word("search")), field);
  }

  function showControls() {
    const { data } = index;
    const runs = data.runs.map((run, place) => [String(place), run.title[language]]);
    const scopes = ["all", "questions", "references", "answers"].map((scope) => [scope, word(`scope_${scope}`)]);
    const rows = [searchField(), select(word("scope"), "scope", scopes, state.scope, (scope) => change({ scope }))];
    if (data.departments) {
      const departments = [...new Set(data.departments)].map((each) => [String(each), index.text(each) || "–"]);
      departments.sort((one, other) => one[1].localeCompare(other[1], "zh"));
      rows.push(select(word("department"), "department", [["", word("all_departments")], ...departments], state.department, (each) => change({ department: number(each) })));
    }
    rows.push(select(word("metric"), "metric", data.metrics.map((each) => [each.key, each.name]), state.metric, (metric) => change({ metric })));
    rows.push(select(word("sort"), "sort", [["", word("sort_original")], ...runs], state.run, (run) => change({ run: number(run), other: run === "" ? null : state.other })));
    if (state.run !== null) {
      rows.push(select(word("minus"), "minus", [["", word("nothing")], ...runs.filter(([run]) => Number(run) !== state.run)], state.other, (other) => change({ other: number(other) })));
      rows.push(select(word("direction"), "direction", [["", word("ascending")], ["1", word("descending")]], state.descending ? "1" : "", (way) => change({ descending: way === "1" })));
    }
    rows.push(select(word("per_page"), "per_page", [5, 10, 25, 50].map((each) => [String(each), String(each)]), state.perPage, (perPage) => change({ perPage: Number(perPage) })));
    rows.push(make("button", { type: "button", class: "reset", onclick: () => change({ ...START, hidden: new Set() }) }, word("reset")));
    keepFocus(parts.controls, rows);
    showRuns();
  }

  /** Replace the controls, and give the focus back to the one that had it. */
  function keepFocus(place, rows) {
    const name = place.contains(document.activeElement) ? document.activeElement.name : null;
    place.replaceChildren(...rows);
    if (name) place.querySelector(`[name="${name}"]`)?.focus();
  }

  function showRuns() {
    const toggle = (run, shown) => { state.hidden[shown ? "delete" : "add"](run); refresh(); };
    const all = (shown) => { state.hidden = new Set(shown ? [] : index.data.runs.keys()); showRuns(); refresh(); };
    const boxes = index.data.runs.map((run, place) => {
      const box = make("input", { type: "checkbox", onchange: (event) => toggle(place, event.target.checked) });
      box.checked = !state.hidden.has(place);
      return make("label", { class: "chip" }, box, make("span", { class: markClass(run.kind), "aria-hidden": "true" }), run.title[language]);
    });
    parts.runs.replaceChildren(make("legend", {}, word("shown_runs")), ...boxes,
      make("button", { type: "button", onclick: () => all(true) }, word("all")), make("button", { type: "button", onclick: () => all(false) }, word("none")));
  }

  function refresh() {
    const found = index.search(state.query, state.scope, state.department);
    order = state.run === null ? found : index.sort(found, state.metric, state.run, state.other, state.descending);
    showPage();
  }

  function showPage() {
    const pages = Math.max(1, Math.ceil(order.length / state.perPage));
    state.page = Math.min(state.page, pages - 1);
    const start = state.page * state.perPage;
    parts.count.textContent = word("found", { found: figure(order.length), total: figure(index.count) });
    parts.list.replaceChildren(...order.slice(start, start + state.perPage).map(card));
    if (!order.length) parts.list.replaceChildren(make("p", { class: "callout" }, word("no_match")));
    for (const place of [parts.above, parts.below]) place.replaceChildren(...pager(pages, place === parts.below));
  }

  function pager(pages, back) {
    const go = (page) => () => {
      state.page = page;
      showPage();
      const place = back ? parts.below : parts.above;
      if (back) parts.top.scrollIntoView();
      (place.querySelector("button:not([disabled])") || place).focus({ preventScroll: true });
    };
    return [
      make("button", { type: "button", disabled: state.page === 0, onclick: go(state.page - 1) }, `← ${word("previous")}`),
      make("span", {}, word("page", { page: figure(state.page + 1), pages: figure(pages) })),
      make("button", { type: "button", disabled: state.page >= pages - 1, onclick: go(state.page + 1) }, `${word("next")} →`),
    ];
  }

  function passage(number, className) {
    const text = index.text(number);
    if (!text.trim()) return make("p", { class: "data muted" }, word("empty_answer"));
    const pieces = markHits(text, words()).map(([piece, hit]) => (hit ? make("mark", {}, piece) : piece));
    return make("p", { class: `data ${className}`, lang: "zh-CN" }, ...pieces);
  }

  function card(question) {
    const { data } = index;
    const { digits, name } = metricNow();
    const department = data.departments && index.text(data.departments[question]);
    const head = [make("b", {}, figure(question + 1)), make("code", {}, data.ids[question])];
    if (department) head.push(make("span", { class: "tag" }, department));
    if (state.other !== null) {
      const difference = index.value(question, state.metric, state.run, state.other);
      head.push(make("span", { class: "tag" }, `${word("difference")} ${name} ${figure(difference, digits, true)}`));
    }
    const answers = data.runs.flatMap((run, place) => (state.hidden.has(place) ? [] : [answer(run, place, question)]));
    return make("article", { class: "question", "aria-label": `${word("question")} ${question + 1}` },
      make("header", {}, ...head),
      make("div", { class: "asked" },
        make("div", {}, make("h4", {}, word("question")), passage(data.questions[question], "")),
        make("div", {}, make("h4", {}, word("reference")), passage(data.references[question], "reference"))),
      make("div", { class: "answers" }, ...answers));
  }

  function answer(run, place, question) {
    const scores = index.data.metrics.filter((each) => run.scores[each.key]).map((each) =>
      make("span", { class: each.key === state.metric ? "score now" : "score" }, `${each.name} `, make("b", {}, figure(run.scores[each.key][question], each.digits))));
    return make("section", { class: `answer kind-${run.kind}${place === state.run || place === state.other ? " compared" : ""}` },
      make("h4", {}, make("span", { class: markClass(run.kind), "aria-hidden": "true" }), run.title[language]),
      passage(run.answers[question], ""),
      make("p", { class: "scores" }, ...scores));
  }

  function open() {
    if (index) return;
    index = new AnswerIndex(readData("answers-data"));
    START.metric = state.metric = (index.data.metrics.find((each) => each.key === "rouge_l") || index.data.metrics[0]).key;
    parts = {
      controls: make("form", { class: "controls", role: "search", onsubmit: (event) => event.preventDefault() }),
      runs: make("fieldset", { class: "runs" }),
      count: make("p", { class: "count", role: "status", "aria-live": "polite" }),
      above: make("nav", { class: "pager", "aria-label": word("pages"), tabindex: -1 }),
      below: make("nav", { class: "pager", "aria-label": word("pages"), tabindex: -1 }),
      list: make("div", { class: "questions" }),
    };
    parts.top = make("div", { class: "result-bar" }, parts.count, parts.above);
    host.replaceChildren(parts.controls, parts.runs, parts.top, parts.list, parts.below);
    showControls();
    refresh();
  }

  listeners.push(() => { if (index) { showControls(); showPage(); } });
  host.replaceChildren(make("p", { class: "callout" }, word("reading")));
  // The data stands after this script, so nothing is read before the whole file is there.
  addEventListener("DOMContentLoaded", () => {
    const near = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      open();
    }, { rootMargin: "1500px 0px" });
    near.observe(host);
  });
  addEventListener("beforeprint", open);
})();
