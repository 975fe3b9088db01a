// What the work–precision chart draws beneath Plotly, on a canvas: the clouds of runs, since hundreds of markers a frame are too much
// for SVG, and what is only there for a moment.

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

// Clouds by method, those of runs that are ``hidden`` by chance too, the way down from the curves to the target's handle (``foot``), and the curves as they were (``ghosts``).
export function paintBeneath(canvas, { clouds, hidden, foot, ghosts }, { margin, width, height }, c) {
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
  ctx.setLineDash([2, 4]);
  if (foot) stroke(ctx, [foot, [foot[0], height]], c.muted, 1);
  ctx.setLineDash([]);
  ctx.globalAlpha = 0.5;
  for (const [method, points] of Object.entries(ghosts)) stroke(ctx, points, c[method], 1.5);
  for (const [method, at] of Object.entries(hidden)) dots(ctx, method, at, c.muted, 0.35);
  for (const [method, at] of Object.entries(clouds)) dots(ctx, method, at, c[method], Math.max(0.25, Math.min(0.6, 8 / Math.sqrt(at.length))));
  ctx.restore();
}

function dots(ctx, method, at, colour, alpha) {
  const size = method === "em" ? 2.8 : 2.1;
  ctx.globalAlpha = alpha;
  ctx.beginPath();
  for (let i = 0; i < at.length; i += 2) {
    if (method === "mlem") ctx.rect(at[i] - size, at[i + 1] - size, 2 * size, 2 * size);
    else ctx.moveTo(at[i] + size, at[i + 1]), ctx.arc(at[i], at[i + 1], size, 0, 7);
  }
  if (method === "mlem") (ctx.fillStyle = colour), ctx.fill();
  else (ctx.strokeStyle = colour), (ctx.lineWidth = 1.3), ctx.stroke();
}

function stroke(ctx, points, colour, width) {
  ctx.beginPath();
  for (const point of points) ctx.lineTo(...point);
  Object.assign(ctx, { strokeStyle: colour, lineWidth: width });
  ctx.stroke();
}
