// What the work–precision chart draws: Plotly's data and layout, and the clouds of runs on a canvas beneath it, since hundreds of
// markers a frame are too much for SVG.

import { costAt, reached } from "./frontier.js";

export const METHODS = ["em", "mlem"];
export const LABELS = { em: "EM", mlem: "ML-EM" };
export const UNITS = {
  cost: { title: "Cost per path, in f¹ evaluations", short: "Model cost" },
  evaluations: { title: "Evaluations per path, of any level", short: "Evaluations" },
  seconds: { title: "Seconds per path", short: "Seconds" },
};
const LARGE = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];
const APART = 40; // CSS pixels between the labels of two curves

// 3 significant digits; thousands by commas, millions in words (as words.py).
export function digits(value) {
  if (!Number.isFinite(value)) return "not finite";
  const [size, word] = LARGE.find(([size]) => Math.abs(value) >= 0.9995 * size) || [1, ""];
  const rounded = Number((value / size).toPrecision(3));
  const decimals = rounded ? Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded)))) : 0;
  const text = rounded.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return `${text.replace("-", "−")}${word && ` ${word}`}`;
}

export const times = (ratio) =>
  Math.abs(ratio - 1) < 0.005 ? "as dear" : ratio > 1 ? `${digits(ratio)} × cheaper` : `${digits(1 / ratio)} × dearer`;
const plain = (value) => Number(value.toFixed(3)).toString();

// What theory says of a method's exponent in this unit, and in which words; null where it says nothing. Where every evaluation costs
// the same, γ = 0.
export function theory(method, unit, gamma) {
  if (unit === "seconds") return null;
  const at = unit === "evaluations" ? 0 : gamma;
  if (method === "em") return { value: at + 1, said: unit === "evaluations" ? "1" : `γ + 1 = ${plain(at + 1)}` };
  const value = Math.max(at, 1 + at / 2), formula = at < 2 ? "1 + γ/2" : "γ";
  return { value, said: unit === "evaluations" ? "1" : at === 2 ? "2, with log²" : `${formula} = ${plain(value)}` };
}

const between = (value, low, high) => value >= low && value <= high;
const thousands = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });

// A power of ten in words, or short.
function powerOfTen(power, narrow) {
  const value = 10 ** power;
  if (narrow && Math.abs(power) > 3) return `10<sup>${String(power).replace("-", "−")}</sup>`;
  const [size, word] = LARGE.find(([size]) => value >= size) || [1, ""];
  if (power > 14) return `10<sup>${power}</sup>`;
  return `${thousands(value / size)}${word && ` ${word}`}`;
}

function costTicks([low, high], narrow) {
  const most = narrow ? 6 : 12, step = Math.max(1, Math.ceil((high - low) / most)), leads = high - low < 3 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: 121 }, (_, i) => (i - 60) * step);
  const all = powers.flatMap((power) => leads.map((lead) => [power, lead])).filter(([power, lead]) => between(power + Math.log10(lead), low, high));
  return {
    tickvals: all.map(([power, lead]) => lead * 10 ** power),
    ticktext: all.map(([power, lead]) => (lead === 1 ? powerOfTen(power, narrow) : between(power, -4, 6) ? thousands(Number(`${lead}e${power}`)) : "")),
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

export function workFigure({ scene, state, answers, ghost, ranges, margin, colours: c, font, narrow, height }) {
  const data = [], annotations = [], shown = METHODS.filter((method) => state.shown[method]);
  const look = { scene, state, answers, ranges, c, narrow, font, height: height - margin.t - margin.b };
  for (const method of shown) data.push(bandOf(look, method));
  for (const method of shown) if (ghost) data.push(curveOf(look, ghost[method], method, { width: 1.5, opacity: 0.45, marked: false }));
  if (state.shown.theory) for (const method of shown) data.push(predictedOf(look, method));
  for (const method of shown) data.push(curveOf(look, answers[method].curve, method, { width: 3, opacity: 1, marked: true }));
  if (state.shown.theory) for (const method of shown) triangle(look, method, data, annotations);
  if (shown.length === 2) comparison(look, data, annotations);
  endLabels(look, shown, annotations);
  if (narrow) annotations.push({ x: 0, y: 1, xref: "paper", yref: "paper", text: UNITS[state.unit].title, showarrow: false, xanchor: "left", yanchor: "bottom", xshift: -margin.l, yshift: 6 });
  const axis = { type: "log", gridcolor: c.grid, zeroline: false, tickfont: { color: c.muted }, tickmode: "array" };
  const room = { ticks: "outside", ticklen: 12, tickcolor: "rgba(0,0,0,0)" }; // for the handle on the axis
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
      uirevision: scene.about,
      xaxis: { ...axis, ...errorTicks(ranges.x, narrow), ...room, range: ranges.x, title: title(`${scene.error}${narrow ? " →" : ", smaller to the right"}`) },
      yaxis: { ...axis, ...costTicks(ranges.y, narrow), range: ranges.y, title: title(narrow ? "" : UNITS[state.unit].title) },
      annotations,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: c.muted, activecolor: c.ink },
    },
  };
}

const exps = (values) => Array.from(values, (value) => Math.exp(value));

function curveOf({ c }, curve, method, { width, opacity, marked }) {
  const there = reached(curve);
  const shape = method === "em" ? { symbol: "circle", color: c.background, line: { color: c.em, width: 2 } } : { symbol: "square", color: c.mlem };
  return {
    x: exps(there.map((k) => curve.targets[k])),
    y: exps(there.map((k) => costAt(curve, 0, k))),
    mode: marked ? "lines+markers" : "lines",
    line: { color: c[method], width },
    marker: { size: method === "em" ? 9 : 8, maxdisplayed: 9, ...shape },
    opacity,
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

// Theory's costs with measured constants, between the two γ of its table that are nearest.
function predictedOf({ scene, state, c }, method) {
  const table = scene.arrays[`${method}.predicted`], { predicted_for: gammas, targets } = scene, there = [];
  const above = table && state.unit === "cost" ? gammas.findIndex((gamma) => gamma >= state.gamma) : -1;
  if (above >= 0 && (above > 0 || gammas[0] === state.gamma)) {
    const below = Math.max(0, above - 1), share = above === below ? 0 : (state.gamma - gammas[below]) / (gammas[above] - gammas[below]);
    for (let k = 0; k < targets.length; k++)
      there.push([targets[k], (1 - share) * table[below * targets.length + k] + share * table[above * targets.length + k]]);
  }
  const finite = there.filter(([, cost]) => Number.isFinite(cost));
  const line = { color: c.theory, width: 1.5, dash: "dash" };
  return { x: exps(finite.map(([target]) => target)), y: exps(finite.map(([, cost]) => cost)), mode: "lines", line, hoverinfo: "skip" };
}

// Theory's slope over half a decade, above the upper curve and below the lower one, clear of either.
function triangle({ answers, state, ranges, c, narrow, font }, method, data, annotations) {
  const said = theory(method, state.unit, state.gamma), { curve } = answers[method], there = reached(curve);
  if (!said || there.length < 3) return;
  const logs = there.map((k) => [curve.targets[k] / Math.LN10, costAt(curve, 0, k) / Math.LN10]);
  const [fine, coarse] = [logs[0][0], logs[logs.length - 1][0]];
  const middle = (fine + coarse) / 2, half = Math.min(0.25, (coarse - fine) / 6), up = (method === "em") === answers.emAbove;
  const [x0, x1] = [middle + half, middle - half]; // coarse, fine
  const within = logs.filter(([x]) => x <= x0 + 1e-9 && x >= x1 - 1e-9);
  if (!within.length) return;
  const off = within.map(([x, y]) => y - said.value * (middle - x)), clear = 0.06 * (ranges.y[1] - ranges.y[0]);
  const base = up ? Math.max(...off) + clear : Math.min(...off) - clear;
  const [y0, y1] = [base - said.value * half, base + said.value * half];
  const corner = up ? [x0, y1] : [x1, y0];
  const line = (points, dash) => ({
    x: points.map(([x]) => 10 ** x),
    y: points.map(([, y]) => 10 ** y),
    mode: "lines",
    line: { color: c.theory, width: 2, dash },
    hoverinfo: "skip",
  });
  data.push(line([[x0, y0], [x1, y1]], "dash"), line([[x0, y0], corner, [x1, y1]], "solid"));
  const label = (x, y, text, rest) => annotations.push({ x, y, text, showarrow: false, font: { color: c.theory_text, size: font.size - (narrow ? 1 : 0) }, ...rest });
  label(middle, corner[1], "1", { yanchor: up ? "bottom" : "top" });
  label(corner[0], (y0 + y1) / 2, narrow ? plain(said.value) : said.said, { xanchor: up ? "right" : "left", xshift: up ? -4 : 4 });
}

// A bracket between the curves at the target, and the break-even point.
function comparison({ answers, state, ranges, c, font, narrow }, data, annotations) {
  const { speedup: ratio, costs, breakeven: even } = answers, ground = faded(c.background, 0.75);
  const label = (x, y, text, rest) => annotations.push({ x: Math.log10(x), y, text, showarrow: false, bgcolor: ground, ...rest });
  if (ratio) {
    const x = Math.exp(state.target), [above, below] = costs.map(Math.log10);
    data.push({ x: [x, x], y: costs, mode: "lines+markers", line: { color: c.ink, width: 1.5 }, marker: { symbol: "line-ew-open", size: 9, color: c.ink }, hoverinfo: "skip" });
    const said = narrow ? `${digits(Math.max(ratio.value, 1 / ratio.value))} ×` : times(ratio.value);
    const apart = Math.abs(above - below) / (ranges.y[1] - ranges.y[0]), along = (state.target / Math.LN10 - ranges.x[0]) / (ranges.x[1] - ranges.x[0]);
    const beside = apart > 0.08 && along < 0.8 ? { xanchor: "left", xshift: 6 } : { xanchor: "right", xshift: -6 };
    const over = apart > 0.08 ? {} : { yanchor: "bottom", yshift: 8 };
    label(x, apart > 0.08 ? (above + below) / 2 : Math.max(above, below), `<b>${said}</b>`, { font: { size: font.size + (narrow ? 1 : 2), color: c.ink }, ...beside, ...over });
  }
  if (even) {
    data.push({ x: [even.value], y: [answers.evenCost], mode: "markers", marker: { symbol: "diamond-open", size: 13, color: c.ink, line: { width: 2 } }, hoverinfo: "skip" });
    label(even.value, Math.log10(answers.evenCost), "break-even", { font: { color: c.muted }, yanchor: "top", yshift: -10, xanchor: "left" });
  }
}

// Names at the fine ends of the curves, pushed apart where they would overlap.
function endLabels({ answers, ranges, c, font, narrow, height }, shown, annotations) {
  const ends = shown.flatMap((method) => {
    const { curve, slope: fitted } = answers[method], [k] = reached(curve);
    if (k === undefined) return [];
    const y = Math.max(ranges.y[0], Math.min(ranges.y[1], costAt(curve, 0, k) / Math.LN10)), at = ((ranges.y[1] - y) / (ranges.y[1] - ranges.y[0])) * height;
    return [{ method, fitted, x: curve.targets[k] / Math.LN10, y, at }];
  });
  const gap = ends.length === 2 ? Math.abs(ends[0].at - ends[1].at) : Infinity;
  for (const end of ends) {
    const lower = ends.some((other) => other !== end && (other.at < end.at || (other.at === end.at && end.method === "mlem")));
    const push = Math.max(0, APART - gap) / 2;
    const half = end.fitted && (end.fitted.high - end.fitted.low) / 2;
    const number = !end.fitted ? "" : narrow ? end.fitted.value.toFixed(2) : `slope ${end.fitted.value.toFixed(2)}${half > 0 ? ` ± ${half.toFixed(2)}` : ""}`;
    annotations.push({
      x: end.x,
      y: end.y,
      text: `<b>${LABELS[end.method]}</b><br>${number}`,
      showarrow: false,
      xanchor: "left",
      align: "left",
      xshift: 9,
      yshift: lower ? -push : push,
      font: { color: c[`${end.method}_text`], size: font.size },
    });
  }
}

function faded(hex, opacity) {
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

// ---------------------------------------------------------------- the clouds

// The place of a log error and a log cost in CSS pixels, by the plot's ranges, margins and size.
export function placeOf(error, cost, { ranges: { x, y }, margin: { l, r, t, b }, width, height }) {
  const [right, up] = [(error / Math.LN10 - x[0]) / (x[1] - x[0]), (cost / Math.LN10 - y[0]) / (y[1] - y[0])];
  return [l + right * (width - l - r), t + (1 - up) * (height - t - b)];
}

export function places(method, costs, frame) {
  const at = new Float32Array(2 * costs.length);
  for (let run = 0; run < costs.length; run++) at.set(placeOf(method.errors[run], costs[run], frame), 2 * run);
  return at;
}

export function paintBeneath(canvas, clouds, target, { margin, width, height }, c) {
  const ratio = window.devicePixelRatio || 1, ctx = canvas.getContext("2d");
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.save();
  ctx.beginPath();
  ctx.rect(margin.l, margin.t, width - margin.l - margin.r, height - margin.t - margin.b);
  ctx.clip();
  if (target) {
    ctx.strokeStyle = c.muted;
    ctx.setLineDash([2, 4]);
    ctx.beginPath();
    ctx.moveTo(...target);
    ctx.lineTo(target[0], height);
    ctx.stroke();
    ctx.setLineDash([]);
  }
  for (const [method, at] of Object.entries(clouds)) {
    const size = method === "em" ? 2.8 : 2.1;
    ctx.globalAlpha = Math.max(0.25, Math.min(0.6, 8 / Math.sqrt(at.length)));
    ctx.beginPath();
    for (let i = 0; i < at.length; i += 2) {
      if (method === "mlem") ctx.rect(at[i] - size, at[i + 1] - size, 2 * size, 2 * size);
      else ctx.moveTo(at[i] + size, at[i + 1]), ctx.arc(at[i], at[i + 1], size, 0, 7);
    }
    if (method === "mlem") (ctx.fillStyle = c.mlem), ctx.fill();
    else (ctx.strokeStyle = c.em), (ctx.lineWidth = 1.3), ctx.stroke();
  }
  ctx.restore();
}

// The clouds as Plotly's own series, for a picture that is saved.
export function cloudSeries(scene, answers, shown, c) {
  return METHODS.filter((method) => shown[method]).map((method) => ({
    x: exps(scene.methods[method].errors.subarray(0, scene.methods[method].runs)),
    y: exps(answers[method].costs),
    mode: "markers",
    marker: { symbol: method === "em" ? "circle-open" : "square", size: 5, color: c[method], opacity: 0.4 },
  }));
}
