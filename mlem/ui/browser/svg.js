// A canvas that writes SVG: as much of CanvasRenderingContext2D as the stage paints with.

const KEPT = "fillStyle strokeStyle lineWidth globalAlpha globalCompositeOperation font textAlign textBaseline lineJoin lineCap dash within".split(" ");
const ANCHORS = { left: "start", center: "middle", right: "end" };

const SIGNS = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
export const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => SIGNS[sign]);
const short = (...numbers) => numbers.map((number) => Number(number.toFixed(2))).join(" ");

export class SvgContext {
  constructor(width, height) {
    Object.assign(this, { width, height, parts: [], defs: [], saved: [], path: "", ruler: document.createElement("canvas").getContext("2d") });
    Object.assign(this, { fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, globalAlpha: 1, globalCompositeOperation: "source-over" });
    Object.assign(this, { font: "10px sans-serif", textAlign: "left", textBaseline: "alphabetic", lineJoin: "miter", lineCap: "butt", dash: [], within: "" });
  }

  markup() {
    const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}">`;
    return `${open}<defs>${this.defs.join("")}</defs>${this.parts.join("")}</svg>`;
  }

  save() {
    this.saved.push(Object.fromEntries(KEPT.map((name) => [name, this[name]])));
  }

  restore() {
    Object.assign(this, this.saved.pop());
  }

  beginPath() {
    this.path = "";
  }

  moveTo(x, y) {
    this.path += `M${short(x, y)}`;
  }

  lineTo(x, y) {
    this.path += `${this.path ? "L" : "M"}${short(x, y)}`;
  }

  rect(x, y, width, height) {
    this.path += `M${short(x, y)}h${short(width)}v${short(height)}h${short(-width)}z`;
  }

  // A whole circle: no arc is ever less.
  arc(x, y, r) {
    this.path += `M${short(x + r, y)}a${short(r, r)} 0 1 1 ${short(-2 * r)} 0a${short(r, r)} 0 1 1 ${short(2 * r)} 0z`;
  }

  setLineDash(dash) {
    this.dash = dash;
  }

  // What is clipped already is clipped further.
  clip() {
    const id = `within${this.defs.length}`;
    this.defs.push(`<clipPath id="${id}"${this.within}><path d="${this.path}"/></clipPath>`);
    this.within = ` clip-path="url(#${id})"`;
  }

  fill() {
    this.add(`<path d="${this.path}" fill="${this.fillStyle}"`);
  }

  stroke() {
    const { strokeStyle, lineWidth, lineJoin, lineCap, dash } = this, dashes = dash.length ? ` stroke-dasharray="${short(...dash)}"` : "";
    const look = `stroke="${strokeStyle}" stroke-width="${short(lineWidth)}" stroke-linejoin="${lineJoin}" stroke-linecap="${lineCap}"`;
    this.add(`<path d="${this.path}" fill="none" ${look}${dashes}`);
  }

  fillRect(x, y, width, height) {
    const [left, top] = [Math.min(x, x + width), Math.min(y, y + height)];
    this.add(`<path d="M${short(left, top)}h${short(Math.abs(width))}v${short(Math.abs(height))}h${short(-Math.abs(width))}z" fill="${this.fillStyle}"`);
  }

  fillText(text, x, y) {
    const [, weight, size, family] = this.font.match(/^(?:(\d+) )?([\d.]+)px (.*)$/) || [, 400, 12, "sans-serif"];
    const [across, up] = short(x, y + (this.textBaseline === "middle" ? 0.35 * size : 0)).split(" ");
    const look = `font-family="${escaped(family)}" font-size="${size}" font-weight="${weight || 400}" text-anchor="${ANCHORS[this.textAlign]}"`;
    this.add(`<text x="${across}" y="${up}" ${look} fill="${this.fillStyle}"`, `>${escaped(text)}</text>`);
  }

  measureText(text) {
    this.ruler.font = this.font;
    return this.ruler.measureText(text);
  }

  // A part of a picture, written out.
  drawImage(image, sx, sy, sw, sh, x, y, width, height) {
    const piece = Object.assign(document.createElement("canvas"), { width: sw, height: sh });
    piece.getContext("2d").drawImage(image, sx, sy, sw, sh, 0, 0, sw, sh);
    const [left, top, across, down] = short(x, y, width, height).split(" ");
    this.add(`<image href="${piece.toDataURL()}" x="${left}" y="${top}" width="${across}" height="${down}"`);
  }

  add(open, close = "/>") {
    const { globalAlpha, globalCompositeOperation: mode, within } = this;
    const blend = mode === "source-over" ? "" : ` style="mix-blend-mode:${mode}"`, faint = globalAlpha < 1 ? ` opacity="${short(globalAlpha)}"` : "";
    this.parts.push(`${open}${faint}${blend}${within}${close}`);
  }
}
