// What the work–precision chart says: numbers, theory's exponents and sentences, made from the state that is shown.

import { cautions, costAt, logRatio, reached } from "./frontier.js";

export const METHODS = ["em", "mlem"];
export const LABELS = { em: "EM", mlem: "ML-EM" };
export const LARGE = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];

// 3 significant digits; thousands by commas, millions in words (as words.py).
export function digits(value) {
  if (!Number.isFinite(value)) return "not finite";
  const [size, word] = LARGE.find(([size]) => Math.abs(value) >= 0.9995 * size) || [1, ""];
  const rounded = Number((value / size).toPrecision(3));
  const decimals = rounded ? Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded)))) : 0;
  const text = rounded.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return `${text.replace("-", "−")}${word && `\u00a0${word}`}`;
}

// No line ends before the sign.
const fold = (ratio) => `${digits(ratio)}\u00a0×`;
export const times = (ratio) =>
  Math.abs(ratio - 1) < 0.005 ? "as dear" : ratio > 1 ? `${fold(ratio)} cheaper` : `${fold(1 / ratio)} dearer`;
export const plain = (value) => Number(value.toFixed(3)).toString();

// What theory says of a method's exponent in this unit, and in which words; null where it says nothing. Where every evaluation costs
// the same, γ = 0. It speaks of strong errors: of the error of a law, which is at most that, it gives an upper bound.
export function theory(method, { unit, gamma }, { independent }) {
  if (unit === "seconds") return null;
  const at = unit === "evaluations" ? 0 : gamma, value = method === "em" ? at + 1 : Math.max(at, 1 + at / 2);
  const formula = method === "em" ? "γ + 1" : at < 2 ? "1 + γ/2" : "γ", number = plain(value), bound = independent === null ? "" : "≤ ";
  const said = unit === "evaluations" ? "1" : method === "mlem" && at === 2 ? "2, with log²" : `${formula} = ${number}`;
  return { value, said: bound + said, short: bound + number };
}

const interval = ({ low, high }) => (Number.isNaN(low) ? "" : ` (${digits(low)} to ${digits(high)})`);
const asSaid = ({ value, low, high }) => (value < 1 ? { low: 1 / high, high: 1 / low } : { low, high }); // cheaper or dearer
export const shortName = ({ error }) => error.split(" ")[0];

// The verdict at the target with its interval, a line for each method and for break-even, warnings, how it was fitted, and all of it
// as the picture's alternative.
export function wordsOf(scene, state, answers) {
  const at = `At ${shortName(scene)} ${digits(Math.exp(state.target))}`;
  const missing = METHODS.filter((_, i) => !Number.isFinite(answers.costs[i])).map((method) => LABELS[method]);
  const why = isHidden(scene, answers, missing) ? `chance hides the cheapest run of ${missing.join(" and ")}` : `no run of ${missing.join(" or ")} is good enough`;
  const verdict = answers.speedup ? `${at} ML-EM is ${times(answers.speedup.value)}` : `${at} ${why}`;
  const range = answers.speedup ? interval(asSaid(answers.speedup)) : "";
  const lines = METHODS.map((method) => [method, `${LABELS[method]}: ${slopeInWords(scene, state, method, answers[method].slope)}`]);
  const even = evenInWords(scene, answers);
  if (even) lines.push(["even", even]);
  const alt = `Cost against error${state.unit === "cost" ? ` at γ = ${state.gamma.toFixed(2)}` : ""}. `;
  const all = `${alt}${[`${verdict}${range}`, ...lines.map(([, said]) => said)].join(". ")}.`;
  for (const method of METHODS)
    for (const said of cautions(answers[method].curve)) lines.push(["mind", `${LABELS[method]}: ${said}`]);
  return { verdict, range, lines, fit: fitInWords(scene, state), alt: all };
}

// Whether a curve that is missing ends where chance begins.
const isHidden = ({ methods }, answers, missing) =>
  METHODS.some((method) => missing.includes(LABELS[method]) && methods[method].hidden && answers[method].ends);

function slopeInWords(scene, state, method, slope) {
  const said = theory(method, state, scene), after = said ? `; theory ${said.said}` : "";
  if (!slope) return `slope not to be fitted${after}`;
  const between = Number.isNaN(slope.low) ? "" : ` (${slope.low.toFixed(2)} to ${slope.high.toFixed(2)})`;
  return `slope ${slope.value.toFixed(2)}${between}${after}`;
}

function evenInWords(scene, { em, mlem, breakeven }) {
  if (breakeven) return `ML-EM is the cheaper one below ${shortName(scene)} ${digits(breakeven.value)}${interval(breakeven)}`;
  const both = reached(em.curve).filter((k) => Number.isFinite(costAt(mlem.curve, 0, k)));
  if (!both.length) return "";
  const wins = logRatio(em.curve, mlem.curve, 0, both[0]) > 0;
  return wins ? "ML-EM is the cheaper one at all these errors" : "EM is the cheaper one at the smallest error that both reach";
}

function fitInWords(scene, state) {
  const { targets, methods, paths, independent, predicted_for: gammas } = scene;
  const [low, high] = [targets[0], targets[targets.length - 1]].map((log) => digits(Math.exp(log)));
  const intervals = methods.em.rows > 1 ? `; 95\u00a0% intervals by resampling ${paths} paths` : "";
  const dashed = gammas.length && state.unit === "cost" ? " Dashed along the curves: theory, from terms of the error that were measured on other paths; nothing is fitted." : "";
  const fitted = `Slopes of log cost against log(1/error), fitted over ${shortName(scene)} ${low} to ${high}${intervals}.`;
  const chance = independent === null ? "" : ` ${chanceInWords(scene)}`;
  return `${fitted} ${methods.em.runs} runs of EM, ${methods.mlem.runs} of ML-EM.${dashed}${chance}`;
}

function chanceInWords({ methods, independent, error }) {
  const grey = METHODS.reduce((sum, method) => sum + (methods[method].hidden?.runs || 0), 0);
  const faint = grey ? ` ${grey} runs that are less than twice what chance alone gives are grey, and make no curve: where one of them might be the cheapest, the curve ends. More paths tell more from chance.` : "";
  return `${error}: sliced Wasserstein distance.${faint} Dotted: ${digits(Math.exp(independent))}, by which two samples of one law differ that share no noise.`;
}
