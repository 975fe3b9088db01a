// What the work–precision chart draws by Plotly: its data and layout.

import { costAt, reached } from "./frontier.js";
import { LABELS, LARGE, METHODS, digits, theory, times } from "./workwords.js";

export const UNITS = {
  cost: { title: "Cost per path, in f¹ evaluations", short: "Model cost" },
  evaluations: { title: "Evaluations per path, of any level", short: "Evaluations" },
  flops: { title: "FLOPs per path", short: "FLOPs" },
  seconds: { title: "Seconds per path", short: "Seconds" },
};

const between = (value, low, high) => value >= low && value <= high;
const thousands = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });

// A power of ten in words, or short.
function powerOfTen(power, narrow) {
  const value = 10 ** power;
  if (narrow && Math.abs(power) > 2) return `10<sup>${String(power).replace("-", "−")}</sup>`;
  const [size, word] = LARGE.find(([size]) => value >= size) || [1, ""];
  if (power > 14) return `10<sup>${power}</sup>`;
  return `${thousands(value / size)}${word && ` ${word}`}`;
}

function costTicks([low, high], narrow) {
  const most = narrow ? 6 : 12, step = Math.max(1, Math.ceil((high - low) / most)), leads = high - low < 3 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: 121 }, (_, i) => (i - 60) * step);
  const marks = powers.flatMap((power) => leads.map((lead) => [power, lead]));
  const all = marks.filter(([power, lead]) => between(power + Math.log10(lead), low, high));
  return {
    tickvals: all.map(([power, lead]) => lead * 10 ** power),
    ticktext: all.map(([power, lead]) => (lead === 1 ? powerOfTen(power, narrow) : between(power, -4, 6) ? thousands(lead * 10 ** power) : "")),
  };
}

function errorTicks(range, narrow) {
  const [low, high] = [Math.min(...range), Math.max(...range)], leads = high - low < (narrow ? 2 : 3.2) ? [1, 2, 5] : [1];
  const all = Array.from({ length: 30 }, (_, i) => i - 20).flatMap((power) => leads.map((lead) => Number(`${lead}e${power}`)));
  const tickvals = all.filter((value) => between(Math.log10(value), low, high));
  return { tickvals, ticktext: tickvals.map(thousands) };
}

// ---------------------------------------------------------------- Plotly

export function margins(narrow, size) {
  const wide = (pixels) => Math.round((pixels * size) / 14);
  return narrow ? { l: 48, r: 58, t: 32, b: 52 } : { l: wide(112), r: wide(132), t: wide(16), b: wide(60) };
}

export function workFigure({ scene, state, answers, ranges, margin, colours: c, font, narrow, height }) {
  const data = [], annotations = [], shown = METHODS.filter((method) => state.shown[method]);
  const look = { scene, state, answers, ranges, c, narrow, font };
  for (const method of shown) data.push(bandOf(look, method));
  if (state.shown.theory) data.push(...theorySeries(look, shown, annotations));
  for (const method of shown) data.push(curveOf(look, method));
  if (shown.length === 2) comparison(look, data, annotations);
  const shapes = scene.independent === null ? [] : chanceMarks(look, shown, annotations);
  endLabels(look, shown, annotations);
  const corner = { xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", xshift: -margin.l, yshift: 6, showarrow: false };
  if (narrow) annotations.push({ x: 0, y: 1, text: UNITS[state.unit].title, ...corner });
  const axis = { type: "log", gridcolor: c.grid, zeroline: false, tickfont: { color: c.muted }, tickmode: "array" };
  const room = { ticks: "outside", ticklen: 12, tickcolor: "rgba(0,0,0,0)" }; // for the handle on the axis
  const errorTitle = `${scene.error}${narrow ? " →" : ", smaller to the right"}`;
  const title = (text) => ({ text, font: { color: c.ink, size: font.size }, standoff: narrow ? 6 : 12 });
  return {
    data,
    layout: {
      height,
      font: { ...font, color: c.ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { ...margin, autoexpand: false },
      showlegend: false,
      hovermode: false,
      uirevision: `${scene.about} ${state.unit}`, // a view of other costs would show none of these
      xaxis: { ...axis, ...errorTicks(ranges.x, narrow), ...room, range: ranges.x, title: title(errorTitle) },
      yaxis: { ...axis, ...costTicks(ranges.y, narrow), range: ranges.y, title: title(narrow ? "" : UNITS[state.unit].title) },
      annotations,
      shapes,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: c.muted, activecolor: c.ink },
    },
  };
}

const exps = (values) => Array.from(values, (value) => Math.exp(value));

function curveOf({ scene, c, answers }, method) {
  const { curve } = answers[method], there = reached(curve);
  const ring = { symbol: "circle", color: c.background, line: { color: c.em, width: 2 } }, square = { symbol: "square", color: c.mlem };
  return {
    x: exps(there.map((k) => curve.targets[k])),
    y: exps(there.map((k) => costAt(curve, 0, k))),
    mode: "lines+markers",
    line: { color: c[method], width: scene.projector ? 5 : 3 },
    marker: { size: (method === "em" ? 9 : 8) * (scene.projector ? 1.5 : 1), maxdisplayed: 9, ...(method === "em" ? ring : square) },
    hoverinfo: "skip",
  };
}

function bandOf({ c, answers }, method) {
  const { curve, band: [low, high] } = answers[method];
  const there = reached(curve).filter((k) => Number.isFinite(low[k]) && Number.isFinite(high[k]));
  const back = [...there].reverse();
  return {
    x: exps([...there, ...back].map((k) => curve.targets[k])),
    y: exps([...there.map((k) => low[k]), ...back.map((k) => high[k])]),
    fill: "toself",
    fillcolor: faded(c[method], 0.2),
    mode: "none",
    hoverinfo: "skip",
  };
}

// All of theory's lines, as few series as possible: each costs time in every frame.
function theorySeries(look, shown, annotations) {
  const triangles = shown.map((method) => triangle(look, method, annotations)).filter(Boolean);
  const series = (lines, width, dash) => {
    const [x, y] = [0, 1].map((axis) => lines.flatMap((points) => [...points.map((point) => Math.exp(point[axis])), null]));
    return { x, y, mode: "lines", line: { color: look.c.theory, width, dash }, hoverinfo: "skip" };
  };
  const dashed = triangles.map(({ slope }) => slope), legs = triangles.map(({ legs }) => legs);
  return [series(shown.map((method) => predictedOf(look, method)), 1.5, "dash"), series(dashed, 2, "dash"), series(legs, 2, "solid")];
}

// Theory's log costs with measured constants, between the two γ of its table that are nearest.
function predictedOf({ scene, state }, method) {
  const table = scene.arrays[`${method}.predicted`], { predicted_for: gammas, targets } = scene;
  const above = table && state.unit === "cost" ? gammas.findIndex((gamma) => gamma >= state.gamma) : -1;
  if (above < 0 || (above === 0 && gammas[0] !== state.gamma)) return [];
  const below = Math.max(0, above - 1), share = above === below ? 0 : (state.gamma - gammas[below]) / (gammas[above] - gammas[below]);
  const cost = (k) => (1 - share) * table[below * targets.length + k] + share * table[above * targets.length + k];
  return Array.from(targets, (target, k) => [target, cost(k)]).filter(([, log]) => Number.isFinite(log));
}

// Theory's slope over half a decade, above the upper curve and below the lower one, clear of either. Everything in logarithms.
function triangle({ scene, answers, state, ranges, c, narrow, font }, method, annotations) {
  const said = theory(method, state, scene), { curve } = answers[method], there = reached(curve);
  if (!said || there.length < 3) return null;
  const [fine, coarse] = [there[0], there[there.length - 1]].map((k) => curve.targets[k]);
  const middle = (fine + coarse) / 2, half = Math.min(0.25 * Math.LN10, (coarse - fine) / 6);
  const [x0, x1] = [middle + half, middle - half]; // coarse, fine
  const off = there
    .filter((k) => between(curve.targets[k], x1 - 1e-9, x0 + 1e-9))
    .map((k) => costAt(curve, 0, k) - said.value * (middle - curve.targets[k]));
  if (!off.length) return null;
  const up = (method === "em") === answers.emAbove, clear = 0.06 * Math.LN10 * (ranges.y[1] - ranges.y[0]);
  const base = up ? Math.max(...off) + clear : Math.min(...off) - clear;
  const [y0, y1] = [base - said.value * half, base + said.value * half], corner = up ? [x0, y1] : [x1, y0];
  const look = { showarrow: false, font: { color: c.theory_text, size: font.size - (narrow ? 1 : 0) } };
  const label = (x, y, text, rest) => annotations.push({ x: x / Math.LN10, y: y / Math.LN10, text, ...look, ...rest });
  label(middle, corner[1], "1", { yanchor: up ? "bottom" : "top" });
  label(corner[0], base, narrow ? said.short : said.said, { xanchor: up ? "right" : "left", xshift: up ? -4 : 4 });
  return { slope: [[x0, y0], [x1, y1]], legs: [[x0, y0], corner, [x1, y1]] };
}

// Where chance hides the end of a curve, and what two samples without shared noise differ by.
function chanceMarks({ scene, answers, ranges, c, font, narrow }, shown, annotations) {
  const [left, right] = ranges.x, shapes = [], upright = { yref: "paper", y0: 0, y1: 1, layer: "below" };
  const label = (x, text, rest) =>
    annotations.push({ x, y: 1, yref: "paper", yanchor: "top", text, showarrow: false, font: { color: c.muted, size: font.size - 1 }, ...rest });
  const ends = shown.filter((method) => answers[method].ends).map((method) => reached(answers[method].curve)[0] ?? scene.targets.length - 1);
  if (ends.length) {
    const from = scene.targets[Math.max(...ends)] / Math.LN10;
    shapes.push({ type: "rect", x0: 10 ** from, x1: 10 ** right, ...upright, fillcolor: faded(c.muted, 0.14), line: { width: 0 } });
    label(right, narrow ? "chance" : "hidden by chance", { xanchor: "right", xshift: -4 });
  }
  const line = scene.independent / Math.LN10;
  if (between(line, right, left)) {
    shapes.push({ type: "line", x0: 10 ** line, x1: 10 ** line, ...upright, line: { color: c.muted, width: 1.5, dash: "dot" } });
    label(line, narrow ? "no shared noise" : "two samples without shared noise", { xanchor: "right", xshift: -4, yshift: -20 });
  }
  return shapes;
}

// A bracket between the curves at the target, and the break-even point.
function comparison(look, data, annotations) {
  const { answers, state, c } = look, { speedup: ratio, costs, breakeven: even } = answers;
  const mark = (x, y, mode, marker, line) => data.push({ x, y, mode, marker: { color: c.ink, ...marker }, line, hoverinfo: "skip" });
  const label = (x, y, text, rest) =>
    annotations.push({ x: Math.log10(x), y, text, showarrow: false, bgcolor: faded(c.background, 0.75), ...rest });
  if (ratio) {
    const x = Math.exp(state.target), { y, ...place } = bracketLabel(look);
    mark([x, x], costs, "lines+markers", { symbol: "line-ew-open", size: 9 }, { color: c.ink, width: 1.5 });
    const said = look.narrow ? `${digits(Math.max(ratio.value, 1 / ratio.value))} ×` : times(ratio.value);
    label(x, y, `<b>${said}</b>`, { font: { size: look.font.size + (look.narrow ? 1 : 2), color: c.ink }, ...place });
  }
  if (even) {
    mark([even.value], [answers.evenCost], "markers", { symbol: "diamond-open", size: 13, line: { width: 2 } });
    label(even.value, Math.log10(answers.evenCost), "break-even", { font: { color: c.muted }, yanchor: "top", yshift: -10, xanchor: "left" });
  }
}

// Beside the bracket where the curves are far apart, else above them, on the side where they fall.
function bracketLabel({ answers, state, ranges: { x, y } }) {
  const [above, below] = answers.costs.map(Math.log10), apart = Math.abs(above - below) / (y[1] - y[0]) > 0.08;
  const far = (state.target / Math.LN10 - x[0]) / (x[1] - x[0]) > 0.8;
  const side = apart && !far ? { xanchor: "left", xshift: 6 } : { xanchor: "right", xshift: -6 };
  return apart ? { y: (above + below) / 2, ...side } : { y: Math.max(above, below), ...side, yanchor: "bottom", yshift: 8 };
}

// Names at the fine ends of the curves.
function endLabels({ answers, ranges, c, font, narrow }, shown, annotations) {
  for (const method of shown) {
    const { curve, slope: fitted } = answers[method], [k] = reached(curve);
    if (k === undefined) continue;
    const value = fitted ? fitted.value.toFixed(2) : "", known = fitted && !Number.isNaN(fitted.low);
    const between = known ? `<br>${fitted.low.toFixed(2)} to ${fitted.high.toFixed(2)}` : "";
    const number = narrow || !value ? value : `slope ${value}${between}`;
    annotations.push({
      x: curve.targets[k] / Math.LN10,
      y: Math.max(ranges.y[0], Math.min(ranges.y[1], costAt(curve, 0, k) / Math.LN10)),
      text: `<b>${LABELS[method]}</b><br>${number}`,
      showarrow: false,
      xanchor: "left",
      align: "left",
      xshift: 9,
      font: { color: c[`${method}_text`], size: font.size },
    });
  }
}

function faded(hex, opacity) {
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

// The clouds as Plotly's own series, for a picture that is saved.
export function cloudSeries(scene, answers, shown, c) {
  const series = (method, { errors, runs }, costs, color) => ({
    x: exps(errors.subarray(0, runs)),
    y: exps(costs),
    mode: "markers",
    marker: { symbol: method === "em" ? "circle-open" : "square", size: 5, color, opacity: 0.4 },
  });
  const seen = METHODS.filter((method) => shown[method]), { methods } = scene, grey = seen.filter((method) => methods[method].hidden);
  return [
    ...grey.map((method) => series(method, methods[method].hidden, answers[method].hiddenCosts, c.muted)),
    ...seen.map((method) => series(method, methods[method], answers[method].costs, c[method])),
  ];
}
