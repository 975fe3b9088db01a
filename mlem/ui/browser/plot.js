// What all of our charts share: the payload, Plotly (fetched once a browser), the theme, and a plot that is updated in place.

import { changed, figures, save } from "./figures.js";
import { separate } from "./labels.js";

const NARROW = 560; // CSS pixels
const AXIS = /^[xy]axis\d*$/;

export function decode(data, magic) {
  const bytes = data.byteOffset % 4 ? data.slice() : data;
  const [found, length] = new Int32Array(bytes.buffer, bytes.byteOffset, 2);
  if (found !== magic) throw new Error("chart: the payload is of another version; reload the page");
  const content = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const types = { int16: Int16Array, uint8: Uint8Array, float32: Float32Array };
  content.arrays = Object.fromEntries(
    content.arrays.map(({ name, type, shape, offset }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, new types[type](bytes.buffer, bytes.byteOffset + 8 + length + offset, size)];
    }),
  );
  return content;
}

let library; // the promise of it

// Large, and never another at one address, which names the version: whatever the browser's cache holds is right. Fetched again, but
// not for ever, where the connection is lost meanwhile, or a new server has not begun to offer it: such an answer is kept, too.
async function fetched(address, cache = "force-cache", wait = 250) {
  try {
    const answer = await fetch(address, { cache });
    if (!answer.ok) throw new Error(`chart: ${address} answers ${answer.status}`);
    return await answer.blob();
  } catch (error) {
    if (wait > 60000) throw error;
    await new Promise((on) => setTimeout(on, wait));
    return fetched(address, "no-cache", 2 * wait);
  }
}

export function plotly(address) {
  library ??= (async () => {
    const script = URL.createObjectURL(await fetched(address));
    await import(script);
    URL.revokeObjectURL(script);
    return window.Plotly;
  })();
  library.catch(() => (library = undefined)); // the next update tries again
  return library;
}

export function isDark(element) {
  // The browser reads any notation of a colour; its luminance tells the theme.
  const ctx = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  ctx.fillStyle = getComputedStyle(element).getPropertyValue("--st-background-color").trim() || "#fff";
  ctx.fillRect(0, 0, 1, 1);
  const [red, green, blue] = ctx.getImageData(0, 0, 1, 1).data;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 128;
}

// A plot in ``element``, drawn by ``figure(narrow)`` → {data, layout, drawn} whenever the data, the theme or the width changes;
// ``drawn``, if there is one, is called when that has been done. What the user has zoomed to is kept here, since Plotly forgets it
// where the figure's own range changes; what is hidden is kept by Plotly. Both as long as layout.uirevision stays the same. Nothing
// is drawn under a pressed finger. ``name`` is the chart's key.
export class Plot {
  constructor(element, figure) {
    Object.assign(this, { element, figure, view: {}, held: false, frame: 0, draws: 0, name: "" });
    this.off = new AbortController();
    const on = (target, events, act) => events.split(" ").forEach((e) => target.addEventListener(e, act, { signal: this.off.signal }));
    on(element, "pointerdown", () => (this.held = true));
    on(window, "pointerup pointercancel", () => ((this.held = false), this.redraw()));
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => setTimeout(() => this.redraw(), 100));
    on(element.parentElement, "keydown", (event) => event.target === element.parentElement && this.key(event));
    this.sizes = new ResizeObserver(() => this.width !== element.clientWidth && this.redraw());
    this.sizes.observe(element);
  }

  async load(address) {
    this.library = await plotly(address);
    this.config ??= this.settings(); // another object would be another plot
    this.redraw();
  }

  // Once a frame, whatever has changed.
  redraw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.width = this.element.clientWidth;
    if (!this.library || !this.width || this.held) return;
    const { data, layout, drawn } = this.figure(this.width < NARROW);
    this.drawn = drawn;
    if (layout.uirevision !== this.revision) this.view = {};
    this.revision = layout.uirevision;
    this.draws += 1;
    for (const name of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => AXIS.test(key))]))
      layout[name] = { ...layout[name], uirevision: this.draws, ...(this.view[name] && { range: this.view[name], autorange: false }) };
    Object.assign(layout, { width: this.width, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom" });
    const first = this.draws === 1;
    this.library.react(this.element, data, layout, this.config);
    separate(this.element);
    if (first) this.listen();
    if (first) this.offer();
    if (drawn) drawn();
    this.element.parentElement.dataset.draws = this.draws;
  }

  listen() {
    const follow = (changes) => {
      for (const [key, value] of Object.entries(changes)) {
        const [, name, end] = key.match(/^([xy]axis\d*)\.range\[([01])\]$/) || [];
        if (name) (this.view[name] ??= [...this.element.layout[name].range])[end] = value;
      }
    };
    this.element.on("plotly_relayout", (changes) => (follow(changes), this.redraw()));
    this.element.on("plotly_relayouting", (changes) => (follow(changes), this.drawn && this.drawn()));
    this.element.on("plotly_doubleclick", () => this.reset());
  }

  reset() {
    this.view = {};
    this.redraw();
  }

  // To whoever saves figures (figures.js).
  offer() {
    const element = this.element.parentElement;
    this.saved = { name: this.name, element, svg: () => this.svg() };
    figures().add(this.saved);
    changed();
  }

  // What is saved.
  picture() {
    const { data, layout } = this.element;
    return { data, layout };
  }

  async svg() {
    const { data, layout } = this.picture(), { width, height } = layout;
    const address = await this.library.toImage({ data, layout }, { format: "svg", width, height });
    return { markup: decodeURIComponent(address.slice(address.indexOf(",") + 1)), width, height };
  }

  settings() {
    const { Icons } = this.library;
    const saving = (format, icon) => ({
      name: format,
      title: `Save as ${format.toUpperCase()}`,
      icon,
      click: () => save(this.saved, format, { caption: location.href }),
    });
    const home = { name: "home", title: "Show all", icon: Icons.home, click: () => this.reset() };
    const buttons = [["zoomIn2d", "zoomOut2d", home], [saving("png", Icons.camera), saving("svg", Icons.disk)]];
    return { displaylogo: false, doubleClick: false, modeBarButtons: buttons };
  }

  // Arrows move the view, + and − zoom, 0 shows all.
  key(event) {
    const { xaxis, yaxis } = this.element.layout || {}, moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    const [right, up] = moves[event.key] || [0, 0], factor = { "+": 0.8, "=": 0.8, "-": 1.25 }[event.key] || 1;
    if (!xaxis || event.ctrlKey || event.metaKey || event.altKey || (!right && !up && factor === 1 && event.key !== "0")) return;
    const moved = ([low, high], by) => {
      const middle = (low + high) / 2 + by * 0.1 * (high - low), half = (factor * (high - low)) / 2;
      return [middle - half, middle + half];
    };
    this.view = event.key === "0" ? {} : { ...this.view, xaxis: moved(xaxis.range, right), yaxis: moved(yaxis.range, up) };
    this.redraw();
    event.preventDefault();
    event.stopPropagation();
  }

  destroy() {
    this.off.abort();
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    figures().delete(this.saved);
    changed();
    if (this.library) this.library.purge(this.element);
  }
}
