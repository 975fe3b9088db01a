// The twin of mlem/frontier.py: prices, lower envelopes, exponents, speed-up and break-even, quick enough for every frame.
//
// What does not depend on prices is found once: the errors of each run (row 0 of ``x`` the estimate, the rest resamples), the first
// target that each reaches, and which runs are neighbours in a family. All errors, costs and targets are natural logarithms.

const FEWEST = 5, DECADES = 1.5, BEND = 0.3, SAME = 1e-9; // as in frontier.py

export function prepare({ x, ratio, step, evaluations, seconds, family, flops = [] }, targets) {
  const runs = x.length, rows = ratio.length / Math.max(1, runs) + 1;
  const errors = new Float64Array(rows * runs), first = new Uint16Array(rows * runs);
  for (let row = 0; row < rows; row++)
    for (let run = 0; run < runs; run++) {
      const at = row * runs + run;
      errors[at] = x[run] + (row ? step * ratio[at - runs] : 0);
      first[at] = lowerBound(targets, errors[at]);
    }
  const order = Array.from(family.keys()).sort((a, b) => family[a] - family[b] || a - b);
  const pairs = order.slice(1).flatMap((run, i) => (family[run] === family[order[i]] ? [[order[i], run]] : []));
  return { runs, rows, errors, first, pairs, targets, evaluations, seconds, flops, levels: evaluations.length / Math.max(1, runs) };
}

export function lowerBound(ascending, value) {
  let low = 0, high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function logPrices({ runs, levels, evaluations, seconds, flops }, unit, gamma) {
  const costs = new Float64Array(runs), price = { cost: (k) => 2 ** (gamma * k), flops: (k) => flops[k], evaluations: () => 1 }[unit];
  for (let run = 0; run < runs; run++) {
    let sum = unit === "seconds" ? seconds[run] : 0;
    if (unit !== "seconds")
      for (let k = 0; k < levels; k++) sum += evaluations[run * levels + k] * price(k);
    costs[run] = Math.log(sum);
  }
  return costs;
}

// Log costs at the targets, (rows, targets), Infinity where nothing reaches them.
export function envelope(method, costs) {
  const { runs, rows, errors, first, pairs, targets } = method, count = targets.length;
  const lowest = new Float64Array(rows * count).fill(Infinity);
  for (let row = 0; row < rows; row++) {
    const from = row * runs, to = row * count;
    for (let run = 0; run < runs; run++) {
      const k = first[from + run];
      if (k < count && costs[run] < lowest[to + k]) lowest[to + k] = costs[run];
    }
    for (let k = 1; k < count; k++) if (lowest[to + k - 1] < lowest[to + k]) lowest[to + k] = lowest[to + k - 1];
    for (const [one, other] of pairs) {
      const low = Math.min(first[from + one], first[from + other]), high = Math.max(first[from + one], first[from + other]);
      if (low === high) continue;
      const x0 = errors[from + one], gap = errors[from + other] - x0;
      if (Math.abs(gap) <= SAME) continue;
      const slope = (costs[other] - costs[one]) / gap;
      for (let k = low; k < high; k++) {
        const cost = costs[one] + slope * (targets[k] - x0);
        if (cost < lowest[to + k]) lowest[to + k] = cost;
      }
    }
  }
  return { targets, rows, lowest };
}

// The curve down to where cheaper runs might do as well: those of ``hidden``, whose errors are not told from chance.
export function known(curve, hidden, costs) {
  const { targets, rows } = curve, lowest = Float64Array.from(curve.lowest), count = targets.length;
  const doubtful = (k) => costs.some((cost, run) => hidden.errors[run] <= targets[k] && cost < costAt(curve, 0, k));
  const end = Array.from(targets.keys()).findLastIndex(doubtful) + 1;
  for (let row = 0; row < rows; row++) lowest.fill(Infinity, row * count, row * count + end);
  return { targets, rows, lowest };
}

export const costAt = ({ targets, lowest }, row, k) => lowest[row * targets.length + k];
export const reached = (curve) => Array.from(curve.targets.keys()).filter((k) => Number.isFinite(costAt(curve, 0, k)));

export function band(curve) {
  const column = (k) => Array.from({ length: curve.rows - 1 }, (_, row) => costAt(curve, row + 1, k)).sort((a, b) => a - b);
  const sorted = Array.from(curve.targets.keys()).map(column);
  return [0.025, 0.975].map((q) => sorted.map((values) => values[Math.round(q * (values.length - 1))]));
}

// The 95 % interval of what each resample gave, as NumPy's nanquantile.
function estimate(value, resampled) {
  const sorted = resampled.filter((one) => !Number.isNaN(one)).sort((a, b) => a - b);
  const quantile = (q) => {
    const place = q * (sorted.length - 1), low = Math.floor(place), high = Math.ceil(place);
    return low === high ? sorted[low] : (high - place) * sorted[low] + (place - low) * sorted[high];
  };
  return sorted.length ? { value, low: quantile(0.025), high: quantile(0.975) } : { value, low: NaN, high: NaN };
}

const byRow = (rows, answer) => Array.from({ length: rows }, (_, row) => answer(row));

function slope(curve, row) {
  let n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (let k = 0; k < curve.targets.length; k++) {
    const x = -curve.targets[k], y = costAt(curve, row, k);
    if (Number.isFinite(y)) (n += 1), (sx += x), (sy += y), (sxx += x * x), (sxy += x * y);
  }
  return n < 2 ? NaN : (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

export function exponent(curve) {
  const [value, ...resampled] = byRow(curve.rows, (row) => slope(curve, row));
  return estimate(value, resampled);
}

// NaN where one of the two does not reach the target.
export function logRatio(em, mlem, row, k) {
  const ratio = costAt(em, row, k) - costAt(mlem, row, k);
  return Number.isFinite(ratio) ? ratio : NaN;
}

export function speedup(em, mlem, target) {
  const { targets } = em, high = lowerBound(targets, target);
  if (!(target >= targets[0] && target <= targets[targets.length - 1])) return null;
  const low = targets[high] === target ? high : high - 1;
  const share = low === high ? 0 : (target - targets[low]) / (targets[high] - targets[low]);
  const at = (row) => Math.exp((1 - share) * logRatio(em, mlem, row, low) + share * logRatio(em, mlem, row, high));
  const [value, ...resampled] = byRow(Math.min(em.rows, mlem.rows), at);
  return Number.isNaN(value) ? null : estimate(value, resampled);
}

export function breakeven(em, mlem) {
  const both = Array.from(em.targets.keys()).filter((k) => !Number.isNaN(logRatio(em, mlem, 0, k)));
  if (!both.length) return null;
  const ends = [em.targets[both[0]], em.targets[both[both.length - 1]]];
  const [value, ...resampled] = byRow(Math.min(em.rows, mlem.rows), (row) => crossing(em, mlem, row, both, ends));
  return ends.includes(value) ? null : estimate(Math.exp(value), resampled.map(Math.exp));
}

function crossing(em, mlem, row, both, ends) {
  const there = both.filter((k) => !Number.isNaN(logRatio(em, mlem, row, k)));
  const losing = there.findIndex((k) => logRatio(em, mlem, row, k) <= 0);
  if (!there.length) return NaN;
  if (losing <= 0) return ends[losing === 0 ? 0 : 1];
  const [k0, k1] = [there[losing - 1], there[losing]], [r0, r1] = [k0, k1].map((k) => logRatio(em, mlem, row, k));
  return em.targets[k0] + ((em.targets[k1] - em.targets[k0]) * r0) / (r0 - r1);
}

export function cautions(curve) {
  const there = reached(curve), said = [];
  const decades = there.length ? (curve.targets[there[there.length - 1]] - curve.targets[there[0]]) / Math.LN10 : 0;
  if (there.length < FEWEST) said.push(`Only ${there.length} target errors are reached; a slope wants at least ${FEWEST}.`);
  if (decades < DECADES) said.push(`The errors span ${Number(decades.toPrecision(2))} decades; a slope wants at least ${DECADES}.`);
  const bent = bend(curve, there);
  if (bent) said.push(`The curve is bent: its slope is ${bent[0].toFixed(2)} at the coarse end and ${bent[1].toFixed(2)} at the fine end.`);
  return said;
}

// Slopes at both ends of a parabola, if its curvature is significant and large enough to matter.
function bend(curve, there) {
  const rows = byRow(curve.rows, (row) => row), share = (k) => rows.slice(1).filter((row) => Number.isFinite(costAt(curve, row, k))).length;
  const keep = there.filter((k) => share(k) > 0.95 * (curve.rows - 1));
  if (keep.length < FEWEST || curve.rows < 2) return null;
  const x = keep.map((k) => -curve.targets[k]), middle = x.reduce((a, b) => a + b, 0) / x.length;
  const fits = rows
    .map((row) => keep.map((k) => costAt(curve, row, k)))
    .filter((y) => y.every(Number.isFinite))
    .map((y) => parabola(x.map((one) => one - middle), y));
  const { low, high } = estimate(0, fits.map((fit) => fit.square)), { line, square } = fits[0];
  const [coarse, fine] = [Math.min(...x), Math.max(...x)].map((end) => line + 2 * square * (end - middle));
  return low * high > 0 && Math.abs(fine - coarse) > BEND ? [coarse, fine] : null;
}

// Least squares over centred x.
function parabola(x, y) {
  const sum = (f) => x.reduce((total, one, i) => total + f(one, y[i]), 0), n = x.length;
  const [s2, s3, s4, y0, y1, y2] = [(a) => a ** 2, (a) => a ** 3, (a) => a ** 4, (_, b) => b, (a, b) => a * b, (a, b) => a * a * b].map(sum);
  const square = (y2 - (s2 * y0) / n - (s3 * y1) / s2) / (s4 - (s2 * s2) / n - (s3 * s3) / s2);
  return { square, line: (y1 - square * s3) / s2 };
}
