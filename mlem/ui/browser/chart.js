// Any Plotly figure, updated in place (see chart.py). Colours that the figure names are put in before it is parsed.

import { Plot, decode, isDark } from "./plot.js";

const MAGIC = 0x4d4c4301;

export default function ({ data, parentElement }) {
  // Called again, with the same parent and without a clean-up between, whenever the data or the theme changes.
  let root = parentElement.querySelector(".mlem-chart");
  if (!root) {
    root = document.createElement("div");
    root.className = "mlem-chart";
    Object.assign(root, { tabIndex: 0, role: "figure", innerHTML: "<div></div>" });
    parentElement.append(root);
    root.plot = new Plot(root.firstChild, (narrow) => figureOf(root, narrow));
  }
  root.content = decode(data, MAGIC);
  const { height, zoom } = root.content;
  root.style.setProperty("--zoom", zoom);
  root.style.setProperty("--height", `${height}px`);
  root.setAttribute("aria-label", root.content.alt);
  root.plot.name = root.content.key;
  root.plot.load(root.content.plotly);
  return () => {
    root.plot.destroy();
    root.remove();
  };
}

// The figure of ``root.content`` in the colours of its theme.
export function figureOf(root, narrow) {
  const { arrays, colours, height } = root.content, theme = isDark(root) ? 1 : 0;
  const text = new TextDecoder().decode(arrays.figure).replace(/var\(--[^)]*\)/g, (name) => colours[name][theme]);
  const { data, layout } = JSON.parse(text);
  const font = { family: getComputedStyle(root).fontFamily, size: narrow ? 12 : 14 };
  layout.template.layout.font = { ...layout.template.layout.font, ...font };
  const { size } = font; // Plotly's own titles are larger than headings
  for (const axis of ["xaxis", "yaxis"]) layout.template.layout[axis].title.font.size = size;
  layout.template.data.contour = [{ colorbar: { title: { font: { size } } } }];
  if (narrow) layout.template.layout.margin = { l: 48, r: 12, t: 32, b: 48 };
  return { data, layout: { height, ...layout } };
}
