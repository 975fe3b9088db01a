// A prediction that is made on a picture: a line is turned about its first point, or a mark is put on a line of numbers. When the user
// lets go, Python is told (see predict.py).

import { figureOf } from "./chart.js";
import { Plot, decode } from "./plot.js";

const MAGIC = 0x4d4c4301;
const QUIET = 350; // ms without a key, after which the user has let go
const AWAY = 0.1; // of the line's width: nearer to its first point a finger would throw it about

export default function ({ data, parentElement, setStateValue }) {
  // Called again, with the same parent and without a clean-up between, whenever the data or the theme changes.
  let root = parentElement.querySelector(".predict");
  if (!root) {
    root = document.createElement("div");
    root.className = "predict";
    root.innerHTML = MARKUP;
    parentElement.append(root);
    root.view = new Prediction(root);
  }
  root.view.tell = (at) => setStateValue("at", at);
  root.view.load(decode(data, MAGIC));
  return () => {
    root.view.destroy();
    root.remove();
  };
}

// The slider is the keyboard's and the screen reader's: it lies on the handle, unseen. Its first stop, −1, is nothing said.
const MARKUP = `
  <div class="predict-board" role="group">
    <div class="predict-plot"></div><div class="predict-pad"></div>
    <input type="range" min="-1" step="1"><div class="predict-handle"></div>
  </div>
  <p class="predict-words"></p>`;

class Prediction {
  constructor(root) {
    const find = (name) => root.querySelector(name);
    Object.assign(this, { root, at: -1, held: false, timer: 0, off: new AbortController() });
    Object.assign(this, { board: find(".predict-board"), slider: find("input"), handle: find(".predict-handle"), words: find("p") });
    this.plot = new Plot(find(".predict-plot"), (narrow) => this.draw(narrow));
    this.plot.settings = () => ({ staticPlot: true });
    const on = (target, events, act) => events.split(" ").forEach((event) => target.addEventListener(event, act, { signal: this.off.signal }));
    const pad = find(".predict-pad");
    on(this.slider, "input", () => this.choose(Number(this.slider.value)));
    on(this.slider, "change", () => (clearTimeout(this.timer), (this.timer = setTimeout(() => this.letGo(), QUIET))));
    on(pad, "pointerdown", (event) => event.pointerType !== "touch" && this.take(event)); // a finger there scrolls the page …
    on(pad, "click", (event) => (this.follow(event), this.letGo())); // … or taps
    on(this.handle, "pointerdown", (event) => this.take(event));
    on(this.board, "mousedown", (event) => event.preventDefault()); // the focus stays on the slider
    for (const grip of [pad, this.handle]) {
      on(grip, "pointermove", (event) => this.held && this.follow(event));
      on(grip, "lostpointercapture", () => ((this.held = false), this.letGo()));
    }
  }

  load(content) {
    this.root.content = content;
    this.told = content.at;
    if (!this.held && !this.timer) this.at = content.at; // else Python is about to be told better
    this.board.setAttribute("aria-label", content.alt);
    this.slider.setAttribute("aria-label", content.label);
    this.slider.max = content.values.length - 1;
    this.root.style.setProperty("--zoom", content.zoom);
    Object.assign(this.board.style, { height: `${content.height}px`, marginBottom: `${(content.zoom - 1) * content.height}px` });
    this.root.classList.toggle("turning", !!content.turning);
    this.say();
    this.plot.name = content.key;
    this.plot.load(content.plotly);
  }

  take(event) {
    if (event.button) return;
    this.held = true;
    event.target.setPointerCapture(event.pointerId);
    this.slider.focus({ preventScroll: true });
    if (event.target !== this.handle) this.follow(event);
  }

  follow(event) {
    if (!this.layout) return; // not drawn yet
    const box = this.board.getBoundingClientRect(), zoom = this.root.content.zoom, { x, y } = this.scales();
    const [right, down] = [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
    const { values, turning } = this.root.content;
    let wanted = x.valueAt(right), place = (value) => x.unit(value);
    if (turning) {
      const [x0, y0, x1] = turning, width = x.unit(x1) - x.unit(x0);
      wanted = (y.valueAt(down) - y.unit(y0)) / Math.max(wanted - x.unit(x0), AWAY * width);
      place = (slope) => slope;
    }
    const away = values.map((value) => Math.abs(place(value) - wanted));
    this.choose(away.indexOf(Math.min(...away)));
  }

  // Drawn at once: the browser sends no more than one movement a frame.
  choose(at) {
    if (at === this.at) return;
    this.at = at;
    this.say();
    this.plot.draw();
  }

  say() {
    const { hint, words } = this.root.content, said = this.at < 0 ? hint : words[this.at];
    this.words.textContent = said;
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", this.at < 0 ? `Nothing said yet. ${hint}` : said);
    this.root.dataset.at = this.at;
  }

  letGo() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.at !== this.told) this.tell((this.told = this.at));
  }

  // ---------------------------------------------------------------- the picture

  draw(narrow) {
    const { data, layout } = figureOf(this.root, narrow), { values, labels, turning } = this.root.content, mine = data.at(-1), { at } = this;
    this.layout = layout;
    if (turning) {
      const [x0, y0, x1] = turning;
      Object.assign(mine, at < 0 ? { x: [x0], y: [y0] } : { x: [x0, x1], y: [y0, y0 * (x1 / x0) ** values[at]], text: ["", labels[at]] });
    } else Object.assign(mine, at < 0 ? { x: [], y: [] } : { x: [values[at]], y: [0], text: [labels[at]] });
    return { data, layout, drawn: () => this.place(turning ? [mine.x.at(-1), mine.y.at(-1)] : [values[Math.max(at, 0)], 0]) };
  }

  // The handle, at [x, y].
  place([right, up]) {
    const { x, y } = this.scales();
    for (const part of [this.handle, this.slider]) Object.assign(part.style, { left: `${x.pixel(right)}px`, top: `${y.pixel(up)}px` });
  }

  // By axis: a value's place on it (its logarithm, where it has one), its pixel, and the place at a pixel.
  scales() {
    const { xaxis, yaxis } = this.layout, { l, t, w, h } = this.plot.element._fullLayout._size; // a tall legend needs more margin
    const scale = ({ type, range: [from, to] }, start, end) => {
      const unit = (value) => (type === "log" ? Math.log10(value) : value);
      const pixel = (value) => start + ((unit(value) - from) / (to - from)) * (end - start);
      return { unit, pixel, valueAt: (at) => from + ((at - start) / (end - start)) * (to - from) };
    };
    return { x: scale(xaxis, l, l + w), y: scale(yaxis, t + h, t) };
  }

  destroy() {
    this.off.abort();
    clearTimeout(this.timer);
    this.plot.destroy();
  }
}
