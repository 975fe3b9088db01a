// Saving figures. Whatever can be saved adds itself to ``figures()`` and then calls ``changed()``: {name, element, svg(), words()}, the
// name being its key, svg() the promise of {markup, width, height} in CSS pixels, and words() what is said of it beside the picture.

import { SvgContext, escaped } from "./svg.js";

const SCALE = 3; // pixels of a PNG to one on the screen
const PAD = 20, TITLE = 20, TEXT = 13, LINE = 1.4; // CSS pixels; lines in heights of a letter

// On the window: the stage, which is no module of this folder, is there too.
export const figures = () => (window.mlemFigures ??= new Set());
export const changed = () => window.dispatchEvent(new Event("mlem-figures"));

// The picture as it is on the screen: its size, its colours, the user's view. ``title`` goes above; ``caption``, from which it can be
// made again, under it.
export async function save(figure, format, { title = "", caption }) {
  const picture = await drawn(figure), framed = frame(figure, picture, title, caption);
  const blob = format === "svg" ? new Blob([framed.markup], { type: "image/svg+xml" }) : await raster(framed, figure.element);
  const name = `mlem-${figure.name.replace(/[^\w-]+/g, "-")}.${format}`;
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return name;
}

// What is painted on a canvas is painted once more, on one that writes SVG.
async function drawn(figure) {
  if (!figure.paint) return figure.svg();
  const [width, height] = figure.size(), ctx = new SvgContext(width, height);
  figure.paint(ctx);
  return { markup: ctx.markup(), width, height };
}

function frame(figure, { markup, width, height }, title, caption) {
  const css = getComputedStyle(figure.element), [ground, ink] = ["background", "text"].map((name) => css.getPropertyValue(`--st-${name}-color`).trim());
  const family = css.fontFamily || "sans-serif", x = PAD, parts = [];
  const lines = (text, size, weight, y, opacity) => {
    const found = wrapped(text, `${weight} ${size}px ${family}`, width);
    found.forEach((line, i) => {
      const look = `font-family="${escaped(family)}" font-size="${size}" font-weight="${weight}" fill="${ink || "#000"}" fill-opacity="${opacity}"`;
      parts.push(`<text x="${x}" y="${y + size + i * size * LINE}" ${look}>${escaped(line)}</text>`);
    });
    return y + found.length * size * LINE;
  };
  let y = lines(title, TITLE, 600, PAD, 1);
  y += title ? PAD / 2 : 0;
  parts.push(markup.replace(/<svg /, `<svg x="${x}" y="${y}" `));
  y = lines(figure.words?.() || "", TEXT + 1, 600, y + height + PAD / 2, 1);
  y = lines(caption, TEXT, 400, y, 0.75);
  const [w, h] = [width + 2 * PAD, Math.ceil(y + PAD)], about = escaped(figure.element.getAttribute("aria-label") || "");
  const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img">`;
  const ground_ = `<rect width="${w}" height="${h}" fill="${ground || "#fff"}"/>`;
  return { markup: `${open}<title>${escaped(title)}</title><desc>${about}</desc>${ground_}${parts.join("")}</svg>`, width: w, height: h };
}

// Lines no wider than ``width``: broken at spaces, or where a link may be.
function wrapped(text, font, width) {
  const ctx = document.createElement("canvas").getContext("2d"), lines = [];
  ctx.font = font;
  for (const word of text.match(/[^\s&]+[\s&]*|[\s&]+/g) || []) {
    const longer = (lines.at(-1) ?? "") + word;
    if (lines.length && ctx.measureText(longer.trimEnd()).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => line.trimEnd());
}

async function raster({ markup, width, height }, element) {
  const image = new Image(), styled = markup.replace("</desc>", `</desc><style>${await faces(element)}</style>`);
  image.src = URL.createObjectURL(new Blob([styled], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: SCALE * width, height: SCALE * height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// The page's own typeface, written out: a picture may not fetch one.
async function faces(element) {
  const family = getComputedStyle(element).fontFamily.split(",")[0].replace(/["']/g, "").trim();
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule instanceof CSSFontFaceRule);
  const face = rules.find(({ style }) => style.getPropertyValue("font-family").replace(/["']/g, "") === family && style.getPropertyValue("font-style") !== "italic");
  const address = face?.style.getPropertyValue("src").match(/url\(["']?([^"')]+)/)?.[1];
  if (!address) return "";
  const answer = await fetch(new URL(address, face.parentStyleSheet.href || document.baseURI));
  if (!answer.ok) return "";
  const blob = await answer.blob(), reader = new FileReader();
  const text = await new Promise((done) => ((reader.onload = () => done(reader.result)), reader.readAsDataURL(blob)));
  return `@font-face { font-family: "${family}"; font-weight: 200 900; src: url("${text}"); }`;
}
