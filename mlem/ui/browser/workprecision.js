// The work–precision chart: runs are priced, and everything is drawn anew, in the browser whenever γ, the unit or the target moves.
// When the user lets go, Python is told (see workprecision.py).

import { band, breakeven, costAt, envelope, exponent, known, logPrices, logRatio, lowerBound, prepare, reached, speedup } from "./frontier.js";
import { Plot, decode, isDark } from "./plot.js";
import { paintBeneath, placeOf, places } from "./workcanvas.js";
import { UNITS, cloudSeries, margins, workFigure } from "./workfigure.js";
import { LABELS, METHODS, digits, shortName, wordsOf } from "./workwords.js";

const MAGIC = 0x4d4c5702;
const THUMB = 20, STOPS = 1000; // of a slider: CSS pixels, as in workprecision.css; positions along the axis of errors
const QUIET = 350; // ms without a movement, after which the user has let go
const ROOM = 0.6; // a share of the axis that curves may leave unused before it is fitted again
const NEAR = 14; // CSS pixels from the pointer to a run

export default function ({ data, parentElement, setStateValue }) {
  // Called again, with the same parent and without a clean-up between, whenever the data or the theme changes.
  let root = parentElement.querySelector(".wp");
  if (!root) {
    root = document.createElement("div");
    root.className = "wp";
    root.innerHTML = MARKUP;
    parentElement.append(root);
    root.view = new WorkPrecision(root);
  }
  root.view.tell = (chosen) => setStateValue("chosen", chosen);
  root.view.load(decode(data, MAGIC));
  return () => {
    root.view.destroy();
    root.remove();
  };
}

const MARKUP = `
  <div class="wp-controls">
    <label class="wp-gamma"><span>Cost exponent γ <output></output></span><input type="range" aria-label="Cost exponent γ"></label>
    <fieldset class="wp-units"><legend>Cost in</legend></fieldset>
  </div>
  <div class="wp-figure" tabindex="0" role="figure">
    <canvas></canvas><div class="wp-plot"></div><div class="wp-tip" hidden></div>
  </div>
  <input class="wp-target" type="range" min="0" max="${STOPS}" step="1">
  <div class="wp-show" role="group" aria-label="Show"></div>
  <div class="wp-words"><p class="wp-verdict"><strong></strong> <span></span></p><ul></ul><p class="wp-fit"></p></div>
  <p class="wp-unseen" role="status"></p>`;
const SHOWN = { em: "○ EM", mlem: "■ ML-EM", runs: "Runs", theory: "Theory" };

class WorkPrecision {
  constructor(root) {
    const find = (query) => root.querySelector(query);
    Object.assign(this, { root, ghost: null, timer: 0, tween: 0, off: new AbortController() });
    Object.assign(this, { slider: find(".wp-gamma input"), output: find("output"), target: find(".wp-target"), figure: find(".wp-figure") });
    Object.assign(this, { canvas: find("canvas"), tip: find(".wp-tip"), status: find(".wp-unseen") });
    this.state = { shown: { em: true, mlem: true, runs: true, theory: true } };
    this.plot = new Plot(find(".wp-plot"), (narrow) => this.draw(narrow));
    this.plot.picture = () => this.picture();
    this.listen(find);
  }

  listen(find) {
    const on = (target, events, act) => events.split(" ").forEach((event) => target.addEventListener(event, act, { signal: this.off.signal }));
    on(this.slider, "input", () => this.move({ gamma: Number(this.slider.value) }));
    on(this.target, "input", () => this.move({ target: this.errorAt(this.target.value / STOPS) }));
    on(this.slider, "change", () => this.rest());
    on(this.target, "change", () => this.rest());
    on(find(".wp-units"), "change", (event) => (this.move({ unit: event.target.value }), this.letGo()));
    for (const [name, label] of Object.entries(SHOWN)) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: name, textContent: label });
      button.setAttribute("aria-pressed", "true");
      find(".wp-show").append(button);
      on(button, "click", () => {
        this.state.shown[name] = !this.state.shown[name];
        button.setAttribute("aria-pressed", this.state.shown[name]);
        this.plot.redraw();
      });
    }
    let pressed = null;
    on(this.figure, "pointerdown", (event) => (pressed = [event.clientX, event.clientY]));
    on(this.figure, "click", (event) => this.click(event, pressed));
    on(this.figure, "pointermove", (event) => this.point(event));
    on(this.figure, "pointerleave", () => (this.tip.hidden = true));
  }

  load(content) {
    const first = !this.scene, before = this.scene, targets = Float64Array.from(content.targets);
    const runs = (method) => {
      const part = (name) => content.arrays[`${method}.${name}`];
      const parts = ["x", "ratio", "evaluations", "seconds", "family"].map((name) => [name, part(name)]);
      return prepare({ ...Object.fromEntries(parts), step: content.steps[method], flops: content.flops }, targets);
    };
    const all = (method) => ({ ...runs(method), hidden: content.arrays[`${method}.hidden.x`] ? runs(`${method}.hidden`) : null });
    this.scene = { ...content, targets, methods: { em: all("em"), mlem: all("mlem") } };
    this.memory = null;
    // Python's choice counts when it is a new one: it does not repeat what it was told.
    if (first || content.serial !== before.serial)
      Object.assign(this.state, content.chosen, { target: this.compared(Math.log(content.chosen.target)) });
    Object.assign(this.slider, { min: content.gammas[0], max: content.gammas[1], step: content.gammas[2], value: this.state.gamma });
    this.listUnits();
    if (first || content.about !== before.about) this.y = null;
    this.x = [targets[targets.length - 1], targets[0]].map((log, i) => log / Math.LN10 + (i ? -0.04 : 0.04));
    if (first) this.figure.style.minHeight = `${content.height}px`; // nothing moves when the library arrives
    Object.assign(this.root.dataset, { projector: content.projector, hidden: content.hidden.join(" "), runs: this.scene.methods.em.runs + this.scene.methods.mlem.runs });
    if (!this.ghost) this.fit(first);
    this.plot.name = content.key;
    this.plot.load(content.plotly);
  }

  listUnits() {
    const units = this.root.querySelector(".wp-units");
    if (units.querySelectorAll("input").length !== this.scene.units.length) {
      units.querySelectorAll("label").forEach((label) => label.remove());
      for (const unit of this.scene.units) {
        const label = document.createElement("label"), name = `unit-${this.scene.key}`;
        label.append(Object.assign(document.createElement("input"), { type: "radio", name, value: unit }), UNITS[unit].short);
        units.append(label);
      }
    }
    for (const input of units.querySelectorAll("input")) input.checked = input.value === this.state.unit;
  }

  // ---------------------------------------------------------------- what the user does

  // Drawn at once: the browser sends no more than one movement a frame.
  move(change) {
    if ("gamma" in change && !this.ghost) this.ghost = { gamma: this.state.gamma, em: this.answers().em.curve, mlem: this.answers().mlem.curve };
    cancelAnimationFrame(this.tween);
    Object.assign(this.state, change);
    this.plot.draw();
  }

  rest() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.letGo(), QUIET);
  }

  letGo() {
    clearTimeout(this.timer);
    this.ghost = null;
    const { gamma, unit, target } = this.state;
    const at = performance.now(); // so that the same choice, made again, is news too
    this.tell({ gamma, unit, target: Number(Math.exp(target).toPrecision(6)), at });
    this.fit(false);
    this.plot.redraw();
    this.status.textContent = this.words().verdict;
  }

  click(event, pressed) {
    if (!pressed || Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 4 || event.target.closest(".modebar")) return;
    const { l, r } = this.margin, box = this.figure.getBoundingClientRect();
    const share = (event.clientX - box.left - l) / (box.width - l - r);
    if (share < 0 || share > 1) return;
    this.move({ target: this.errorAt(share) });
    this.rest();
  }

  // The log error at a share of the axis.
  errorAt(share) {
    const [from, to] = this.ranges().x;
    return this.compared((from + share * (to - from)) * Math.LN10);
  }

  // The nearest log error among those that are compared.
  compared(log) {
    const { targets } = this.scene;
    return Math.max(targets[0], Math.min(targets[targets.length - 1], log));
  }

  point(event) {
    const box = this.figure.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = NEAR, found = null;
    for (const [method, at] of Object.entries(this.clouds || {}))
      for (let run = 0; 2 * run < at.length; run++) {
        const away = Math.hypot(at[2 * run] - x, at[2 * run + 1] - y);
        if (away < best) (best = away), (found = { method, run, x: at[2 * run], y: at[2 * run + 1] });
      }
    this.tip.hidden = !found;
    if (!found) return;
    const { errors } = this.scene.methods[found.method], name = this.scene.names[found.method]?.[found.run] || LABELS[found.method];
    const cost = Math.exp(this.answers()[found.method].costs[found.run]);
    this.tip.textContent = `${name}: ${shortName(this.scene)} ${digits(Math.exp(errors[found.run]))}, cost ${digits(cost)}`;
    const side = found.x > box.width / 2 ? { left: "", right: `${box.width - found.x + 10}px` } : { left: `${found.x + 10}px`, right: "" };
    Object.assign(this.tip.style, { top: `${found.y + 10}px`, ...side });
  }

  // ---------------------------------------------------------------- what is known

  // Everything that depends on γ and the unit; and, cheaply, what depends on the target.
  answers() {
    const { gamma, unit, target } = this.state, { methods } = this.scene, key = `${unit} ${gamma}`;
    if (this.memory?.key !== key) {
      const of = (method) => {
        const { hidden } = methods[method], costs = logPrices(methods[method], unit, gamma), whole = envelope(methods[method], costs);
        const hiddenCosts = hidden && logPrices(hidden, unit, gamma), curve = hidden ? known(whole, hidden, hiddenCosts) : whole;
        const ends = reached(curve).length < reached(whole).length; // by chance
        return { costs, hiddenCosts, curve, ends, band: band(curve), slope: reached(curve).length > 1 ? exponent(curve) : null };
      };
      const [em, mlem] = METHODS.map(of), even = breakeven(em.curve, mlem.curve);
      const ratios = Array.from(em.curve.targets.keys(), (k) => logRatio(em.curve, mlem.curve, 0, k)).filter((one) => !Number.isNaN(one));
      const emAbove = ratios.reduce((sum, one) => sum + one, 0) >= -0.1 * ratios.length;
      this.memory = { key, em, mlem, emAbove, breakeven: even, evenCost: even && this.costAtError(mlem.curve, Math.log(even.value)) };
    }
    const { em, mlem } = this.memory;
    const costs = METHODS.map((method) => this.costAtError(this.memory[method].curve, target));
    return { ...this.memory, speedup: speedup(em.curve, mlem.curve, target), costs };
  }

  costAtError(curve, log) {
    const high = Math.min(lowerBound(curve.targets, log), curve.targets.length - 1), low = Math.max(0, high - 1);
    const share = high === low ? 0 : (log - curve.targets[low]) / (curve.targets[high] - curve.targets[low]);
    return Math.exp((1 - share) * costAt(curve, 0, low) + share * costAt(curve, 0, high));
  }

  words() {
    return wordsOf(this.scene, this.state, this.answers());
  }

  // ---------------------------------------------------------------- the picture

  ranges() {
    return { x: this.plot.view.xaxis || this.x, y: this.plot.view.yaxis || this.y };
  }

  // Fits the axis of costs to the curves, unless they are inside and fill it well enough.
  fit(at_once) {
    const curves = METHODS.map((method) => this.answers()[method].curve);
    const costs = curves.flatMap((curve) => reached(curve).map((k) => costAt(curve, 0, k) / Math.LN10));
    const [low, high] = costs.length ? [Math.min(...costs), Math.max(...costs)] : [0, 6];
    const room = Math.max(0.4, 0.13 * (high - low)), wanted = [low - room, high + room];
    if (this.y && low > this.y[0] && high < this.y[1] && high - low > ROOM * (this.y[1] - this.y[0])) return;
    if (!this.y || at_once || matchMedia("(prefers-reduced-motion: reduce)").matches) this.y = wanted;
    else this.glide([...this.y], wanted, performance.now());
  }

  glide(from, to, start) {
    cancelAnimationFrame(this.tween);
    this.tween = requestAnimationFrame((now) => {
      const share = Math.max(0, Math.min(1, (now - start) / 250)), eased = share * share * (3 - 2 * share);
      this.y = from.map((low, i) => low + eased * (to[i] - low));
      this.plot.redraw();
      if (share < 1) this.glide(from, to, start);
    });
  }

  draw(narrow) {
    const start = performance.now(), { scene, state } = this, css = getComputedStyle(this.root);
    const c = (this.colours = scene.themes[isDark(this.root) ? "dark" : "light"]);
    for (const [name, value] of Object.entries(c)) if (typeof value === "string") this.root.style.setProperty(`--${name}`, value);
    const size = narrow ? 12 : scene.projector ? 20 : 14, height = narrow ? Math.min(scene.height, 460) : scene.height;
    this.margin = margins(narrow, size);
    const answers = this.answers(), font = { family: css.fontFamily, size };
    const made = workFigure({ scene, state, answers, ranges: this.ranges(), margin: this.margin, colours: c, font, narrow, height });
    return { ...made, drawn: () => (this.cloud(height), this.say(), this.measure(start)) };
  }

  cloud(height) {
    const answers = this.answers(), frame = { ranges: this.ranges(), margin: this.margin, width: this.plot.width, height };
    const shown = METHODS.filter((method) => this.state.shown.runs && this.state.shown[method]);
    this.clouds = Object.fromEntries(shown.map((method) => [method, places(this.scene.methods[method], answers[method].costs, frame)]));
    const grey = shown.filter((method) => this.scene.methods[method].hidden);
    const hidden = Object.fromEntries(grey.map((method) => [method, places(this.scene.methods[method].hidden, answers[method].hiddenCosts, frame)]));
    const lowest = Math.min(...answers.costs.filter(Number.isFinite));
    const foot = Number.isFinite(lowest) && placeOf(this.state.target, Math.log(lowest), frame);
    paintBeneath(this.canvas, { clouds: this.clouds, hidden, foot, ghosts: this.ghosts(frame) }, frame, this.colours);
    const { l, r, b } = this.margin, [from, to] = frame.ranges.x, share = (this.state.target / Math.LN10 - from) / (to - from);
    Object.assign(this.figure.style, { height: `${height}px`, minHeight: "" });
    const along = { left: `${l - THUMB / 2}px`, width: `${frame.width - l - r + THUMB}px`, top: `${this.figure.offsetTop + height - b - 22}px` };
    Object.assign(this.target.style, along, { visibility: share < 0 || share > 1 ? "hidden" : "" });
    if (Math.abs(this.target.value / STOPS - share) > 1 / STOPS) this.target.value = Math.round(STOPS * share); // not what is being moved
  }

  // The curves as they were when the user took hold of γ.
  ghosts(frame) {
    const points = (curve) => reached(curve).map((k) => placeOf(curve.targets[k], costAt(curve, 0, k), frame));
    const shown = METHODS.filter((method) => this.ghost && this.state.shown[method]);
    return Object.fromEntries(shown.map((method) => [method, points(this.ghost[method])]));
  }

  say() {
    const { scene, state, root } = this, words = this.words(), find = (query) => root.querySelector(query);
    const own = scene.own_gamma, priced = state.unit === "cost" && !own;
    const [low, high] = scene.gammas, before = this.ghost ? ` (thin lines: ${this.ghost.gamma.toFixed(2)})` : "";
    this.output.textContent = own ? `${state.gamma.toFixed(2)}, that of these levels` : priced ? `${state.gamma.toFixed(2)}${before}` : "plays no part here";
    Object.assign(this.slider, { value: state.gamma, disabled: !priced, hidden: own });
    this.slider.style.setProperty("--done", (state.gamma - low) / (high - low));
    this.target.setAttribute("aria-label", `${scene.error} at which both are compared`);
    this.target.setAttribute("aria-valuetext", `${words.verdict}${words.range}`);
    find("strong").textContent = words.verdict;
    find(".wp-verdict span").textContent = words.range;
    find(".wp-fit").textContent = words.fit;
    this.figure.setAttribute("aria-label", words.alt);
    const item = ([name, said]) => Object.assign(document.createElement("li"), { className: name, textContent: said });
    find("ul").replaceChildren(...words.lines.map(item));
  }

  measure(start) {
    Object.assign(this.root.dataset, { gamma: this.state.gamma, unit: this.state.unit, drawMs: (performance.now() - start).toFixed(1) });
  }

  picture() {
    const { data, layout } = this.plot.element, { scene, state, colours } = this, answers = this.answers();
    const clouds = state.shown.runs ? cloudSeries(scene, answers, state.shown, colours) : [];
    return { data: [...clouds, ...data], layout: { ...layout, paper_bgcolor: colours.background } };
  }

  destroy() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.tween);
    this.off.abort();
    this.plot.destroy();
  }
}
