// The loss curves: a panel a training size, all of one height of scale; values under the pointer or the arrow keys.
(function () {
  const PANEL = { width: 360, height: 236, left: 44, right: 12, top: 12, bottom: 34 };
  const host = document.getElementById("loss-panels");
  const panels = readData("losses-data");

  /** Return a handful of round values between two ends. */
  function ticks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= raw);
    const values = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) values.push(value);
    return { values, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  /** Fit the height to what is smooth and to 98 % of the rest: one spike must not flatten all curves. */
  function heightOf(all) {
    const values = [];
    for (const curve of all.flatMap((panel) => panel.curves)) {
      const sorted = [...curve.loss].sort((one, other) => one - other);
      const at = (part) => sorted[Math.floor(part * (sorted.length - 1))];
      if (sorted.length) values.push(at(0.01), at(0.99));
      for (const value of curve.average) values.push(value);
      for (const [, value] of curve.validation) values.push(value);
    }
    if (!values.length) return [0, 1];
    const low = values.reduce((one, other) => Math.min(one, other));
    const high = values.reduce((one, other) => Math.max(one, other));
    const margin = 0.06 * (high - low) || 0.1;
    return [low - margin, high + margin];
  }

  function drawPanel(panel, [low, high]) {
    const steps = panel.curves.flatMap((curve) => [curve.steps.at(-1) || 0, ...curve.validation.map(([step]) => step)]);
    const last = Math.max(1, ...steps);
    const x = (step) => PANEL.left + (step / last) * (PANEL.width - PANEL.left - PANEL.right);
    const y = (loss) => PANEL.top + ((high - loss) / (high - low)) * (PANEL.height - PANEL.top - PANEL.bottom);
    const floor = PANEL.height - PANEL.bottom;
    const clip = (loss) => Math.min(Math.max(y(loss), 2), floor);
    const path = (curve, values) => curve.steps.map((step, n) => `${n ? "L" : "M"}${x(step).toFixed(1)} ${clip(values[n]).toFixed(1)}`).join("");
    const name = word("training_rows", { n: figure(panel.size) });
    const svg = make("svg", { viewBox: `0 0 ${PANEL.width} ${PANEL.height}`, role: "img", tabindex: 0, "aria-label": name });
    const vertical = ticks(low, high, 4);
    for (const value of vertical.values) {
      svg.append(make("line", { class: "grid", x1: PANEL.left, x2: PANEL.width - PANEL.right, y1: y(value), y2: y(value) }),
        make("text", { x: PANEL.left - 6, y: y(value) + 4, "text-anchor": "end" }, figure(value, vertical.digits)));
    }
    for (const value of ticks(0, last, 4).values.filter((each) => each % 1 === 0)) {
      svg.append(make("text", { x: x(value), y: floor + 15, "text-anchor": "middle" }, figure(value)));
    }
    svg.append(make("text", { class: "axis", x: PANEL.width - PANEL.right, y: PANEL.height - 3, "text-anchor": "end" }, word("step_axis")));
    panel.curves.forEach((curve, number) => {
      const group = make("g", { class: `curve curve-${METHOD_MARKS.includes(curve.kind) ? curve.kind : "other"} nth-${number}` });
      group.append(make("path", { class: "raw", d: path(curve, curve.loss) }), make("path", { class: "average", d: path(curve, curve.average) }));
      for (const [step, loss] of curve.validation) group.append(make("circle", { cx: x(step), cy: clip(loss), r: 3 }));
      svg.append(group);
    });
    const cursor = make("line", { class: "cursor", x1: 0, x2: 0, y1: PANEL.top, y2: floor, visibility: "hidden" });
    svg.append(cursor);
    return { svg, cursor, x, last, name };
  }

  /** Return the last known value at or before a step, from pairs in the order of their steps. */
  function valueAt(steps, values, step) {
    let found = null;
    for (let n = 0; n < steps.length && steps[n] <= step; n += 1) found = values[n];
    return found;
  }

  function readings(panel, step) {
    return panel.curves.map((curve) => {
      const rings = curve.validation.filter(([at]) => at <= step);
      const ring = rings.length ? rings.at(-1)[1] : null;
      const title = curve.title[language];
      return [curve.kind, title, step == null ? "" : ` ${figure(valueAt(curve.steps, curve.average, step), 3)} · ${word("validation")} ${figure(ring, 3)}`];
    });
  }

  function showPanel(panel, range) {
    const { svg, cursor, x, last, name } = drawPanel(panel, range);
    const legend = make("ul", { class: "legend" });
    const place = make("p", { class: "small step" });
    let current = null;
    const show = (step) => {
      current = step;
      cursor.setAttribute("visibility", step == null ? "hidden" : "visible");
      if (step != null) { cursor.setAttribute("x1", x(step)); cursor.setAttribute("x2", x(step)); }
      place.textContent = step == null ? "" : word("step", { n: figure(step) });
      legend.replaceChildren(...readings(panel, step).map(([kind, title, text]) =>
        make("li", {}, make("span", { class: markClass(kind), "aria-hidden": "true" }), make("b", {}, title), text)));
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const part = ((event.clientX - box.left) / box.width * PANEL.width - PANEL.left) / (PANEL.width - PANEL.left - PANEL.right);
      show(Math.round(Math.min(1, Math.max(0, part)) * last));
    });
    svg.addEventListener("pointerleave", () => show(null));
    svg.addEventListener("blur", () => show(null));
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      show(Math.min(last, Math.max(0, (current ?? 0) + move * Math.max(1, Math.round(last / 40)))));
    });
    show(null);
    return make("figure", { class: "panel" }, make("figcaption", {}, make("b", {}, name), place), svg, legend);
  }

  function showAll() {
    const range = heightOf(panels);
    host.replaceChildren(...panels.map((panel) => showPanel(panel, range)));
    if (!panels.length) host.replaceChildren(make("p", { class: "callout" }, host.getAttribute(`data-none-${language}`)));
  }

  listeners.push(showAll);
  showAll();
})();
