// The stage: paths or pictures, calls and bills on one clock, on one canvas. Data comes once, as bytes (see stage.py); nothing is
// ever sent back. What only pictures need is in stage_pictures.js.
//
// A frame must be cheap, so all that does not move is painted twice in advance: as past (solid) and as future (faint). As every panel
// shares the time axis, a frame is then two copies, cut at the playhead, and a few marks on top.

const MAGIC = 0x4d4c4502;
const GAP = -32768; // no coordinate here
const SECONDS = 6; // for the whole play at speed 1
const SOLVERS = ["em", "mlem"];
const METHODS = ["reference", ...SOLVERS];
const SHAPES = { reference: "dot", em: "circle", mlem: "square" };
const SLIDER = 44, THUMB = 20; // CSS pixels, as in stage.css
const TRAIL = 40; // frames

export default function ({ data, parentElement }) {
  // Called again, with the same parent and without a clean-up between, whenever the data or the theme changes.
  let root = parentElement.querySelector(".stage");
  if (!root) {
    root = buildDom();
    parentElement.append(root);
    root.player = new Player(root);
  }
  const scene = decode(data);
  root.player.load(scene);
  chartsAhead(scene.charts, root.player);
  return () => {
    root.player.destroy();
    root.remove();
  };
}

// ---------------------------------------------------------------- other pages

const QUIET = 2000; // ms after which nothing more is to come of this page

let begun = false;

// Other pages have charts, whose library is large: it is fetched and read in a quiet moment, once, where a visitor reads on.
function chartsAhead(charts, player) {
  if (begun || !charts || navigator.connection?.saveData) return;
  begun = true;
  const idle = window.requestIdleCallback ?? setTimeout;
  const look = () => (player.playing ? setTimeout(look, QUIET) : idle(fetchThem));
  const fetchThem = () =>
    import(new URL(charts.module, document.baseURI).href) // this script itself has no address
      .then((module) => module.plotly(charts.library))
      .catch(() => (begun = false)); // the page that needs it tells why
  setTimeout(look, QUIET);
}

// ---------------------------------------------------------------- data

function decode(data) {
  const bytes = data.byteOffset % 4 ? data.slice() : data;
  const [magic, length] = new Int32Array(bytes.buffer, bytes.byteOffset, 2);
  if (magic !== MAGIC) throw new Error("stage: the payload is of another version; reload the page");
  const scene = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const types = { int16: Int16Array, uint8: Uint8Array, float32: Float32Array };
  for (const part of ["paths", "way", "end", "raster", "bills"]) scene[part] = {};
  for (const { name, type, shape, offset } of scene.arrays) {
    const [part, method] = name.split(".");
    const size = shape.reduce((a, b) => a * b, 1);
    const values = new types[type](bytes.buffer, bytes.byteOffset + 8 + length + offset, size);
    scene[part][method] = { values, shape, columns: shape[1] };
  }
  return scene;
}

function coordinate(scene, method, frame, path, axis) {
  const q = scene.paths[method].values[(frame * scene.count + path) * scene.dim + axis];
  return q === GAP ? NaN : scene.centre[axis] + q * scene.step[axis];
}

// Between two frames everything is linear.
function between(head, frames, value) {
  const frame = Math.min(Math.floor(head), frames - 1);
  const share = head - frame;
  return share === 0 ? value(frame) : share === 1 ? value(frame + 1) : (1 - share) * value(frame) + share * value(frame + 1);
}

const has = (part) => Object.keys(part).length > 0;

// The column of a table that holds a level, or -1: a table with few columns is of the dearest levels.
const columnOf = (scene, table, level) => level - (scene.levels.length - table.columns);

function billOf(scene, method, level, head) {
  const bill = scene.bills[method];
  const column = columnOf(scene, bill, level);
  return column < 0 ? 0 : between(head, scene.frames, (frame) => bill.values[frame * bill.columns + column]);
}

const totalOf = (scene, method, head) => scene.levels.reduce((sum, _, level) => sum + billOf(scene, method, level, head), 0);

// 3 significant digits; thousands by commas, millions in words.
const digits = (value) =>
  value.toLocaleString("en", { maximumSignificantDigits: 3, ...(value >= 1e6 && { notation: "compact", compactDisplay: "long" }) });

function ratioInWords(scene, head) {
  if (!SOLVERS.every((method) => scene.bills[method])) return "";
  const [em, mlem] = SOLVERS.map((method) => totalOf(scene, method, head));
  if (!(em > 0 && mlem > 0)) return "";
  const [ratio, word] = em >= mlem ? [em / mlem, "cheaper"] : [mlem / em, "dearer"];
  return ratio < 1.005 ? `${scene.labels.mlem} costs the same` : `${scene.labels.mlem} is ${digits(ratio)}\u00a0× ${word}`;
}

function ticksOf(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

const tickText = (value) => (value < 0 ? "−" : "") + Math.abs(value).toLocaleString("en", { maximumSignificantDigits: 4 });

// ---------------------------------------------------------------- layout

// Places of all panels for a width, in CSS pixels. All that has a time shares x0 … x1.
function layoutOf(scene, width) {
  const narrow = width < 560;
  const zoom = scene.projector && !narrow ? 1.5 : 1;
  const px = (n) => Math.round(n * zoom);
  const font = px(narrow ? 12 : 13);
  const L = { width, narrow, zoom, px, font, x0: px(narrow ? 44 : 56), x1: width - px(narrow ? 78 : 96), rows: {}, bars: {} };
  const headed = font + px(12), row = px(scene.levels.length > 6 ? 11 : 15), bar = px(22);
  const rasters = SOLVERS.filter((method) => scene.raster[method]), bills = SOLVERS.filter((method) => scene.bills[method]);

  const below =
    (rasters.length ? headed + px(20) + rasters.reduce((sum, m) => sum + scene.raster[m].columns * row + px(10), 0) : 0) +
    SLIDER + font + px(8) + (bills.length ? px(22) + headed + bills.length * (bar + px(6)) : 0);
  let y = has(scene.pictures) ? placePictures(scene, L) : 0;
  if (has(scene.paths)) {
    L.paths = { top: y + headed, heading: y + font };
    const room = Math.min(scene.height * zoom - below - headed, narrow ? width * 0.8 : Infinity);
    const least = scene.dim === 2 ? Math.min(width * 0.7, px(440)) : px(170); // a cloud wants a squarer panel
    L.paths.bottom = L.paths.top + Math.max(least, Math.floor(room));
    y = L.paths.bottom + (scene.dim === 2 ? font + px(12) : 0);
  }
  L.timed = scene.dim === 1 ? [[L.paths.top, L.paths.bottom]] : [];
  if (rasters.length) {
    L.rasterHeading = y + px(20) + font;
    y += px(20) + headed;
    for (const method of rasters) {
      L.rows[method] = { top: y, row, bottom: y + scene.raster[method].columns * row };
      y = L.rows[method].bottom + px(10);
    }
  }
  L.timed.push([rasters.length ? L.rows[rasters[0]].top - px(4) : y, y + SLIDER / 2]);
  L.slider = y;
  y += SLIDER;
  L.clock = y + font - px(6);
  y += font + px(8);
  if (bills.length) {
    L.billHeading = y + px(14) + font;
    y += px(22) + headed;
    for (const method of bills) {
      L.bars[method] = { top: y, height: bar };
      y += bar + px(6);
    }
  }
  L.height = Math.ceil(y);
  const most = Math.max(1e-300, ...bills.map((method) => totalOf(scene, method, scene.frames)));
  L.costToX = (cost) => L.x0 + (cost / most) * (L.x1 - L.x0);
  L.frameToX = (frame) => L.x0 + (frame / scene.frames) * (L.x1 - L.x0);
  L.toFrame = (x) => Math.max(0, Math.min(1, (x - L.x0) / (L.x1 - L.x0))) * scene.frames;
  if (L.paths) setScales(scene, L);
  return L;
}

function setScales(scene, L) {
  const { top, bottom } = L.paths;
  let [xs, ys] = scene.dim === 2 ? scene.view : [[0, scene.horizon], scene.view[0]];
  if (scene.dim === 2) {
    // One length for one unit on both axes: the axis with room to spare shows more.
    const perPixel = Math.max((xs[1] - xs[0]) / (L.x1 - L.x0), (ys[1] - ys[0]) / (bottom - top));
    const widen = ([low, high], pixels) => [(low + high - perPixel * pixels) / 2, (low + high + perPixel * pixels) / 2];
    xs = widen(xs, L.x1 - L.x0);
    ys = widen(ys, bottom - top);
  }
  L.xs = xs;
  L.ys = ys;
  L.toX = (x) => L.x0 + ((x - xs[0]) / (xs[1] - xs[0])) * (L.x1 - L.x0);
  L.toY = (y) => bottom - ((y - ys[0]) / (ys[1] - ys[0])) * (bottom - top);
}

// ---------------------------------------------------------------- painting: small tools

function write(ctx, L, text, x, y, colour, { align = "left", weight = 400, size = L.font, base = "alphabetic" } = {}) {
  ctx.font = `${weight} ${size}px ${L.family}`;
  ctx.textAlign = align;
  ctx.textBaseline = base;
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
  return ctx.measureText(text).width;
}

// A panel's heading; smaller where it would not fit.
function writeHeading(ctx, L, text, y, c) {
  const size = L.font + L.px(2);
  ctx.font = `600 ${size}px ${L.family}`;
  const share = Math.min(1, (L.width - L.x0) / ctx.measureText(text).width);
  return write(ctx, L, text, L.x0, y, c.ink, { weight: 600, size: size * share });
}

function line(ctx, x0, y0, x1, y1, colour, width = 1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.stroke();
}

// A line of constant time through all panels that have a time axis, sparing the headings between them.
function upright(ctx, L, x, colour, width) {
  for (const [top, bottom] of L.timed) line(ctx, x, top, x, bottom, colour, width);
}

// The sign of a method: a dot, a ring or a square.
function mark(ctx, method, x, y, size, c, ring = c.background) {
  ctx.beginPath();
  if (SHAPES[method] === "square") ctx.rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6);
  else ctx.arc(x, y, SHAPES[method] === "dot" ? size * 0.45 : size, 0, 7);
  ctx.fillStyle = SHAPES[method] === "circle" ? ring : c[method];
  ctx.fill();
  if (SHAPES[method] !== "circle") return;
  ctx.strokeStyle = c[method];
  ctx.lineWidth = Math.max(1.2, size * 0.42);
  ctx.stroke();
}

function inside(ctx, x0, y0, x1, y1, paint) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x0, y0, x1 - x0, y1 - y0);
  ctx.clip();
  paint();
  ctx.restore();
}

// ---------------------------------------------------------------- painting: what stands still

// Everything but the moving marks, as it looks in the past (solid) or in the future (faint).
function paintStill(ctx, scene, L, c, past) {
  paintAxes(ctx, scene, L, c);
  if (scene.dim === 1) paintPaths(ctx, scene, L, c, past);
  if (scene.dim === 1) paintEnds(ctx, scene, L, c);
  if (scene.dim === 2) paintLegend(ctx, scene, L, c);
  if (has(scene.pictures)) paintRows(ctx, scene, L, c);
  if (has(scene.raster)) paintRasters(ctx, scene, L, c, past);
}

function paintAxes(ctx, scene, L, c) {
  const { px, font, x0, x1 } = L;
  for (const t of ticksOf(0, scene.horizon, L.narrow ? 4 : 8)) {
    const x = L.frameToX((t / scene.horizon) * scene.frames);
    upright(ctx, L, x, c.grid, 1);
    write(ctx, L, tickText(t), x, L.clock, c.muted, { align: "center" });
  }
  if (L.paths) {
    const { top, bottom, heading } = L.paths;
    writeHeading(ctx, L, scene.captions.paths, heading, c);
    const most = (pixels, apart) => Math.max(2, Math.floor(pixels / px(apart)));
    for (const y of ticksOf(...L.ys, most(bottom - top, 40))) {
      line(ctx, x0, L.toY(y), x1, L.toY(y), c.grid);
      write(ctx, L, tickText(y), x0 - px(8), L.toY(y), c.muted, { align: "right", base: "middle" });
    }
    const name = scene.axes[scene.dim - 1];
    write(ctx, L, name, x0 - px(8), heading, c.muted, { align: "right" });
    if (scene.dim === 2) {
      for (const x of ticksOf(...L.xs, most(x1 - x0, 70))) {
        line(ctx, L.toX(x), top, L.toX(x), bottom, c.grid);
        write(ctx, L, tickText(x), L.toX(x), bottom + px(6) + font, c.muted, { align: "center" });
      }
      write(ctx, L, scene.axes[0], x1 + px(10), bottom + px(6) + font, c.muted);
    }
  }
  if (L.rasterHeading) writeHeading(ctx, L, scene.captions.raster, L.rasterHeading, c);
  if (L.billHeading) {
    const used = writeHeading(ctx, L, scene.captions.bills, L.billHeading, c);
    write(ctx, L, scene.unit, x0 + used + px(10), L.billHeading, c.muted);
  }
  for (const [method, { top, bottom }] of Object.entries(L.rows)) paintName(ctx, scene, L, c, method, (top + bottom) / 2);
  for (const [method, { top, height }] of Object.entries(L.bars)) paintName(ctx, scene, L, c, method, top + height / 2);
}

const paintName = (ctx, scene, L, c, method, y) =>
  write(ctx, L, scene.labels[method], L.x0 - L.px(8), y + 1, c[`${method}_text`], { align: "right", weight: 600, base: "middle" });

function tracePath(ctx, scene, L, method, path) {
  let pen = false;
  ctx.beginPath();
  for (let frame = 0; frame <= scene.frames; frame++) {
    const y = coordinate(scene, method, frame, path, 0);
    if (Number.isNaN(y)) pen = false;
    else if (pen) ctx.lineTo(L.frameToX(frame), L.toY(y));
    else ctx.moveTo(L.frameToX(frame), L.toY(y)), (pen = true);
  }
}

function paintPaths(ctx, scene, L, c, past) {
  const pad = L.px(4);
  const solvers = SOLVERS.filter((method) => scene.paths[method]);
  ctx.lineJoin = ctx.lineCap = "round";
  inside(ctx, L.x0 - pad, L.paths.top, L.x1 + pad, L.paths.bottom, () => {
    const crowd = Math.sqrt(scene.count * Math.max(1, 800 / (L.x1 - L.x0))); // more paths on less room: fainter
    ctx.globalAlpha = Math.min(0.4, 1.5 / crowd) * (past ? 0.9 : 0.4);
    ctx.lineWidth = Math.max(0.7, 1 / L.ratio) * L.zoom;
    ctx.globalCompositeOperation = c.dark ? "screen" : "multiply"; // twins that agree become grey, whichever is drawn last
    for (let path = 0; path < scene.count; path++) {
      if (path === scene.highlight) continue;
      for (const method of solvers.length ? solvers : Object.keys(scene.paths)) {
        tracePath(ctx, scene, L, method, path);
        ctx.strokeStyle = c[method];
        ctx.stroke();
      }
    }
    ctx.globalCompositeOperation = "source-over";
    // Widest below, dotted on top, so that all three can be seen where they agree.
    const looks = { em: [5, []], mlem: [2.4, []], reference: [1.8, [0.1, 4.5 * L.zoom]] };
    ctx.globalAlpha = past ? 1 : 0.28;
    for (const method of [...solvers, "reference"].filter((m) => scene.paths[m])) {
      tracePath(ctx, scene, L, method, scene.highlight);
      const [width, dash] = looks[method];
      ctx.strokeStyle = c[method];
      ctx.lineWidth = width * L.zoom;
      ctx.setLineDash(dash);
      ctx.stroke();
    }
  });
}

// Names at the ends of the thick lines, moved apart where they would overlap.
function paintEnds(ctx, scene, L, c) {
  const gap = L.font + L.px(5), { top, bottom } = L.paths;
  const ends = METHODS.filter((method) => scene.paths[method]).map((method) => {
    let frame = scene.frames;
    while (frame > 0 && Number.isNaN(coordinate(scene, method, frame, scene.highlight, 0))) frame--;
    const y = Math.max(top, Math.min(bottom, L.toY(coordinate(scene, method, frame, scene.highlight, 0)) || bottom));
    return { method, y, at: y };
  });
  ends.sort((a, b) => a.y - b.y || METHODS.indexOf(a.method) - METHODS.indexOf(b.method));
  const middle = ends.reduce((sum, end) => sum + end.y, 0) / ends.length;
  ends.forEach((end, i) => (end.at = i ? Math.max(end.y, ends[i - 1].at + gap) : end.y));
  const drift = ends.reduce((sum, end) => sum + end.at, 0) / ends.length - middle; // pushed down: share it out
  const last = ends[ends.length - 1].at - drift, first = ends[0].at - drift;
  const shift = drift + Math.max(0, last - bottom + gap / 2) - Math.max(0, top + gap / 2 - first);
  for (const { method, y, at } of ends) {
    const place = at - shift;
    line(ctx, L.x1 + L.px(3), y, L.x1 + L.px(10), place, c.muted, 0.8);
    mark(ctx, method, L.x1 + L.px(17), place, L.px(4), c);
    write(ctx, L, scene.labels[method], L.x1 + L.px(25), place + 1, c[`${method}_text`] || c.ink, { weight: 600, base: "middle" });
  }
}

function paintLegend(ctx, scene, L, c) {
  METHODS.filter((method) => scene.paths[method]).forEach((method, i) => {
    const y = L.paths.top + L.px(10) + i * (L.font + L.px(8));
    mark(ctx, method, L.x1 + L.px(14), y, L.px(4), c);
    write(ctx, L, scene.labels[method], L.x1 + L.px(24), y + 1, c[`${method}_text`] || c.ink, { weight: 600, base: "middle" });
  });
}

// One row per level, dearest on top; the height of the ink is the share of paths that call the level.
function paintRasters(ctx, scene, L, c, past) {
  for (const method of SOLVERS.filter((m) => scene.raster[m])) {
    const { values, shape: [bins], columns } = scene.raster[method];
    // Edges lie on device pixels, so that neighbours neither overlap nor leave a seam; wide bins are set apart, as single calls.
    const edge = (bin) => Math.round((L.x0 + (bin / bins) * (L.x1 - L.x0)) * L.ratio) / L.ratio;
    const apart = (L.x1 - L.x0) / bins >= 5 ? 1 : 0;
    for (let level = 0; level < scene.levels.length; level++) {
      const column = columnOf(scene, scene.raster[method], level);
      if (column < 0) continue;
      const foot = L.rows[method].bottom - column * L.rows[method].row, tall = L.rows[method].row - L.px(3);
      line(ctx, L.x0, foot - 0.5, L.x1, foot - 0.5, c.grid);
      write(ctx, L, scene.levels[level], L.x1 + L.px(10), foot - 1, c.ink, { size: Math.min(L.font + L.px(1), L.rows[method].row) });
      ctx.fillStyle = c.ladder[level];
      for (let bin = 0; bin < bins; bin++) {
        const height = (values[bin * columns + column] / 255) * tall;
        if (height === 0) continue;
        // Ink too thin to be seen is drawn thicker and paler: the amount of ink stays that of the calls.
        ctx.globalAlpha = (past ? 1 : 0.25) * Math.min(1, Math.max(0.3, height / 1.5));
        const from = edge(bin);
        ctx.fillRect(from, foot, Math.max(edge(bin + 1) - from - apart, 1 / L.ratio), -Math.max(1.5, height));
      }
      ctx.globalAlpha = 1;
    }
  }
}

// ---------------------------------------------------------------- painting: what moves

function paintMoving(ctx, scene, L, c, head, sheets) {
  const x = L.frameToX(head);
  upright(ctx, L, x, c.ink, L.zoom);
  if (scene.dim === 1) paintHeads(ctx, scene, L, c, head);
  if (scene.dim === 2) inside(ctx, L.x0, L.paths.top, L.x1, L.paths.bottom, () => paintCloud(ctx, scene, L, c, head));
  for (const method of Object.keys(scene.pictures)) paintPictures(ctx, scene, L, c, head, method, sheets.get(scene.pictures[method].sheet));
  for (const [method, box] of Object.entries(L.bars)) paintBar(ctx, scene, L, c, head, method, box);
  const now = ((head / scene.frames) * scene.horizon).toFixed(scene.horizon < 10 ? 2 : 1);
  write(ctx, L, `${scene.clock} = ${now}`, L.x1 + L.px(14), L.slider + SLIDER / 2 + 1, c.ink, { weight: 600, base: "middle" });
}

function place(scene, L, method, head, path) {
  const at = (axis) => between(head, scene.frames, (frame) => coordinate(scene, method, frame, path, axis));
  return scene.dim === 1 ? [L.frameToX(head), L.toY(at(0))] : [L.toX(at(0)), L.toY(at(1))];
}

function paintHeads(ctx, scene, L, c, head) {
  for (const method of ["em", "mlem", "reference"].filter((m) => scene.paths[m])) {
    const [x, y] = place(scene, L, method, head, scene.highlight);
    const size = method === "em" ? 7 : method === "mlem" ? 4.4 : 3.4; // the square fits into the ring, the dot into the square
    if (y >= L.paths.top && y <= L.paths.bottom) mark(ctx, method, x, y, L.px(10 * size) / 10, method === "reference" ? { reference: c.background } : c);
  }
}

function paintCloud(ctx, scene, L, c, head) {
  const places = {}, size = Math.max(1.6, Math.min(3.2, 40 / Math.sqrt(scene.count))) * L.zoom;
  const factors = { em: 1.2, mlem: 0.75, reference: 0.9 }; // where they agree the square sits in the ring, the dot in the square
  ctx.lineJoin = ctx.lineCap = "round";
  for (const method of METHODS.filter((m) => scene.paths[m]))
    places[method] = Array.from({ length: scene.count }, (_, path) => place(scene, L, method, head, path));
  for (const method of SOLVERS.filter((m) => places[m] && places.reference)) {
    // The error of a particle: the way from its twin on the reference.
    ctx.beginPath();
    places[method].forEach(([x, y], path) => {
      if (!Number.isFinite(x + y)) return;
      ctx.moveTo(x, y);
      ctx.lineTo(...places.reference[path]);
    });
    ctx.globalAlpha = 0.55;
    ctx.strokeStyle = c[method];
    ctx.lineWidth = L.zoom;
    ctx.stroke();
    ctx.globalAlpha = 1;
  }
  for (const method of Object.keys(places)) paintTrail(ctx, scene, L, c, head, method);
  for (const method of ["em", "mlem", "reference"].filter((m) => places[m]))
    places[method].forEach(([x, y], path) => {
      if (!Number.isFinite(x + y)) return;
      const chosen = path === scene.highlight;
      mark(ctx, method, x, y, (chosen ? 2.2 : 1) * factors[method] * size, c, chosen ? c.background : "transparent");
    });
}

function paintTrail(ctx, scene, L, c, head, method) {
  ctx.beginPath();
  for (let frame = Math.max(0, Math.ceil(head) - TRAIL); frame <= head; frame++) ctx.lineTo(...place(scene, L, method, frame, scene.highlight));
  ctx.lineTo(...place(scene, L, method, head, scene.highlight));
  ctx.strokeStyle = c[method];
  ctx.lineWidth = (method === "em" ? 3 : 1.5) * L.zoom;
  ctx.setLineDash(method === "reference" ? [0.1, 4 * L.zoom] : []);
  ctx.stroke();
  ctx.setLineDash([]);
}

// A bill fills from left to right, stacked by level, over its faint final extent.
function paintBar(ctx, scene, L, c, head, method, { top, height }) {
  const stack = (at, paint) => {
    let paid = 0;
    scene.levels.forEach((name, level) => {
      const from = L.costToX(paid), to = L.costToX((paid += billOf(scene, method, level, at)));
      if (to > from) paint(name, level, from, to);
    });
    return L.costToX(paid);
  };
  ctx.globalAlpha = 0.18;
  stack(scene.frames, (_, level, from, to) => (ctx.fillStyle = c.ladder[level], ctx.fillRect(from, top, to - from, height)));
  ctx.globalAlpha = 1;
  const end = stack(head, (name, level, from, to) => {
    ctx.fillStyle = c.ladder[level];
    ctx.fillRect(from, top, Math.max(0.5, to - from - (to - from > 3 ? 1 : 0)), height);
    if (to - from > L.px(30)) write(ctx, L, name, (from + to) / 2, top + height / 2 + 1, c.on_ladder[level], { align: "center", base: "middle" });
  });
  line(ctx, L.x0, top - 2, L.x0, top + height + 2, c.muted);
  const text = digits(totalOf(scene, method, head));
  const look = { weight: 600, base: "middle", size: L.font + L.px(1) }, middle = top + height / 2 + 1, gap = L.px(8);
  ctx.font = `600 ${look.size}px ${L.family}`;
  if (end + gap + ctx.measureText(text).width <= L.width) write(ctx, L, text, end + gap, middle, c.ink, look);
  else write(ctx, L, text, end - gap, middle, c.on_ladder.at(-1), { ...look, align: "right" }); // no room beside the bar
}

// ---------------------------------------------------------------- the player

const ICONS = { play: "M4 2l12 7-12 7z", pause: "M4 2h4v14H4zM10 2h4v14h-4z", back: "M2 3h3v12H2zM15 3v12L6 9z", on: "M13 3h3v12h-3zM3 3v12l9-6z" };
const icon = (name) => `<svg viewBox="0 0 18 18" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;

function buildDom() {
  const root = document.createElement("div");
  root.className = "stage";
  root.innerHTML = `
    <div class="transport" role="group" aria-label="Playback">
      <button type="button" class="play"></button>
      <button type="button" class="back" aria-label="Step back">${icon("back")}</button>
      <button type="button" class="on" aria-label="Step forward">${icon("on")}</button>
      <select aria-label="Speed">${[0.25, 0.5, 1, 2, 4].map((s) => `<option value="${s}" ${s === 1 ? "selected" : ""}>${s}×</option>`).join("")}</select>
      <span class="hint"><kbd>Space</kbd> plays &ensp;<kbd>←</kbd> <kbd>→</kbd> step</span>
    </div>
    <div class="figure">
      <canvas role="img" tabindex="0"></canvas>
      <input type="range" aria-label="Time" min="0" step="1" value="0">
    </div>
    <div class="verdict"><strong></strong><ul></ul></div>
    <p class="unseen" role="status"></p>`;
  return root;
}

class Player {
  constructor(root) {
    Object.assign(this, { root, head: 0, speed: 1, playing: false, onScreen: true, loop: 0, repaint: 0, fps: 0, drawMs: 0 });
    const find = (query) => root.querySelector(query);
    Object.assign(this, { canvas: find("canvas"), slider: find("input"), play: find(".play"), status: find(".unseen"), figure: find(".figure") });
    Object.assign(this, { verdict: find(".verdict strong"), marks: find(".verdict ul") });
    this.sheets = new Sheets((names) => ((root.dataset.pictures = names), this.draw()));
    this.past = document.createElement("canvas");
    this.future = document.createElement("canvas");
    this.off = new AbortController(); // removes every listener at once
    this.listen(find);
    this.sizes = new ResizeObserver(() => this.renew());
    this.sizes.observe(this.figure);
    this.sight = new IntersectionObserver(([entry]) => ((this.onScreen = entry.isIntersecting), this.run()));
    this.sight.observe(root);
    this.saved = { name: "", element: this.canvas, size: () => [this.layout.width, this.layout.height], paint: (ctx) => this.paint(ctx), words: () => this.said() };
    (window.mlemFigures ??= new Set()).add(this.saved); // whatever can be saved: see browser/figures.js
  }

  listen(find) {
    const on = (target, events, act) => events.split(" ").forEach((event) => target.addEventListener(event, act, { signal: this.off.signal }));
    on(this.play, "click", () => this.toggle());
    on(find(".back"), "click", () => this.step(-1));
    on(find(".on"), "click", () => this.step(1));
    on(find("select"), "change", (event) => (this.speed = Number(event.target.value)));
    on(this.slider, "input", () => (this.setPlaying(false), this.seek(Number(this.slider.value))));
    on(this.root, "keydown", (event) => this.key(event));
    on(this.canvas, "pointerdown pointermove", (event) => this.drag(event));
    on(document, "visibilitychange", () => this.run());
    on(matchMedia("(prefers-color-scheme: dark)"), "change", () => setTimeout(() => this.renew(), 100));
    on(document.fonts, "loadingdone", () => this.renew()); // text was measured in another font
  }

  load(scene) {
    const first = !this.scene;
    const share = first ? 0 : this.head / this.scene.frames;
    this.scene = scene;
    this.layout = undefined; // was for other parts: nothing is drawn until they have their places
    this.sheets.load(scene);
    this.head = share * scene.frames; // at the end stays at the end
    this.canvas.setAttribute("aria-label", scene.summary);
    this.saved.name = scene.key;
    window.dispatchEvent(new Event("mlem-figures"));
    this.slider.max = scene.frames;
    this.marks.replaceChildren(...METHODS.filter((method) => scene.verdict[method]).map((method) => this.mark(method)));
    this.marks.classList.toggle("unseen", has(scene.pictures)); // said beside the pictures
    Object.assign(this.root.dataset, { frames: scene.frames, projector: scene.projector });
    const still = has(scene.pictures) || matchMedia("(prefers-reduced-motion: reduce)").matches; // pictures begin as noise
    if (first && still) this.head = scene.frames;
    else if (first) this.playing = true;
    this.setPlaying(this.playing);
    this.renew();
  }

  mark(method) {
    const item = document.createElement("li");
    item.className = method;
    const name = document.createElement("b");
    name.textContent = this.scene.labels[method];
    item.append(name, ` ${this.scene.verdict[method]}`);
    return item;
  }

  // Size, theme, font or data have changed: paint the still layers again, once, before the next frame.
  renew() {
    cancelAnimationFrame(this.repaint);
    this.repaint = requestAnimationFrame(() => {
      if (!this.scene || !this.figure.clientWidth) return;
      const css = getComputedStyle(this.root), ratio = window.devicePixelRatio || 1;
      const ground = css.getPropertyValue("--st-background-color").trim();
      const dark = isDark(ground), c = (this.colours = { ...this.scene.themes[dark ? "dark" : "light"], dark });
      if (ground) c.background = ground;
      for (const name of Object.keys(c)) if (typeof c[name] === "string") this.root.style.setProperty(`--${name}`, c[name]);
      this.root.style.setProperty("--rail", `color-mix(in srgb, ${c.muted} 40%, ${c.background})`);
      const L = (this.layout = layoutOf(this.scene, this.figure.clientWidth));
      Object.assign(L, { family: css.fontFamily || "sans-serif", ratio });
      this.root.style.setProperty("--left", `${L.x0}px`);
      Object.assign(this.slider.style, { left: `${L.x0 - THUMB / 2}px`, width: `${L.x1 - L.x0 + THUMB}px`, top: `${L.slider}px` });
      this.canvas.style.height = `${L.height}px`;
      for (const [canvas, past] of [[this.canvas], [this.past, true], [this.future, false]]) {
        canvas.width = Math.round(L.width * ratio);
        canvas.height = Math.round(L.height * ratio);
        const ctx = canvas.getContext("2d");
        ctx.scale(ratio, ratio);
        if (past !== undefined) paintStill(ctx, this.scene, L, c, past);
      }
      this.draw();
      this.run();
    });
  }

  draw() {
    const { scene, layout: L, canvas, past, future } = this;
    if (!L) return;
    const start = performance.now();
    const ctx = canvas.getContext("2d");
    const cut = this.head >= scene.frames ? canvas.width : Math.round(L.frameToX(this.head) * L.ratio);
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    ctx.drawImage(past, 0, 0, cut, canvas.height, 0, 0, cut, canvas.height);
    const rest = canvas.width - cut;
    if (rest) ctx.drawImage(future, cut, 0, rest, canvas.height, cut, 0, rest, canvas.height);
    ctx.restore();
    paintMoving(ctx, scene, L, this.colours, this.head, this.sheets);
    this.tell();
    this.drawMs = mean(this.drawMs, performance.now() - start);
    this.root.dataset.drawMs = this.drawMs.toFixed(2);
  }

  // The picture in one go, for one that is saved.
  paint(ctx) {
    const { scene, layout: L, colours: c, head, sheets } = this, cut = head >= scene.frames ? L.width : L.frameToX(head);
    inside(ctx, 0, 0, cut, L.height, () => paintStill(ctx, scene, L, c, true));
    if (cut < L.width) inside(ctx, cut, 0, L.width, L.height, () => paintStill(ctx, scene, L, c, false));
    paintMoving(ctx, scene, L, c, head, sheets);
  }

  // What stands under it, but for what the picture says itself.
  said() {
    const { scene, verdict } = this, marks = Object.entries(has(scene.pictures) ? {} : scene.verdict);
    const ended = this.head >= scene.frames ? marks.map(([method, words]) => `${scene.labels[method]} ${words}`) : [];
    return [verdict.textContent.trim(), ...ended].filter(Boolean).join(" · ");
  }

  // The state, in the parts that are not canvas.
  tell() {
    const { scene, head, root } = this, ended = head >= scene.frames;
    const words = ratioInWords(scene, head), text = ended ? words : words && `So far, ${words}`;
    this.slider.value = Math.round(head);
    this.slider.style.setProperty("--done", head / scene.frames);
    const bills = SOLVERS.filter((m) => scene.bills[m]).map((m) => `, ${scene.labels[m]} ${digits(totalOf(scene, m, head))}`).join("");
    this.slider.setAttribute("aria-valuetext", `${scene.clock} = ${digits((head / scene.frames) * scene.horizon)}${bills}`);
    if (this.verdict.textContent !== text) this.verdict.textContent = text || "\u00a0";
    Object.assign(root.dataset, { frame: Math.round(head), ended });
    const said = ended && words ? `${words}.` : "";
    if (this.status.textContent !== said) this.status.textContent = said;
  }

  // Starts the loop if there is something to play and someone to see it. There is never more than one loop.
  run() {
    cancelAnimationFrame(this.loop);
    if (!this.playing || !this.layout || !this.onScreen || document.hidden) return;
    let before = 0;
    const tick = (now) => {
      if (before) {
        this.fps = mean(this.fps, 1000 / Math.max(1, now - before));
        this.root.dataset.fps = this.fps.toFixed(1);
        this.head = Math.min(this.scene.frames, this.head + ((now - before) / 1000) * (this.scene.frames / SECONDS) * this.speed);
      }
      before = now;
      this.draw();
      if (this.head >= this.scene.frames) this.setPlaying(false);
      else this.loop = requestAnimationFrame(tick);
    };
    this.loop = requestAnimationFrame(tick);
  }

  setPlaying(playing) {
    this.playing = playing;
    this.root.dataset.playing = playing;
    this.play.innerHTML = playing ? `${icon("pause")}Pause` : `${icon("play")}Play`;
    this.run();
  }

  toggle() {
    if (!this.playing && this.head >= this.scene.frames) this.head = 0;
    this.setPlaying(!this.playing);
  }

  seek(frame) {
    this.head = Math.max(0, Math.min(this.scene.frames, frame));
    this.draw();
  }

  step(by) {
    this.setPlaying(false);
    this.seek(Math.round(this.head) + by);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
    const far = event.shiftKey ? 10 : 1;
    const acts = {
      ArrowLeft: () => this.step(-far), ArrowRight: () => this.step(far),
      Home: () => this.step(-Infinity), End: () => this.step(Infinity), " ": () => this.toggle(),
    };
    if (!acts[event.key] || (event.key === " " && event.target.closest("button"))) return; // a button has its own space
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  drag(event) {
    const L = this.layout, box = this.canvas.getBoundingClientRect();
    const y = event.clientY - box.top;
    if (!L || !(event.buttons & 1) || (event.type === "pointerdown" && (y < L.timed[0][0] || y > L.slider))) return;
    if (event.type === "pointermove" && !this.canvas.hasPointerCapture(event.pointerId)) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.setPlaying(false);
    this.seek(Math.round(L.toFrame(event.clientX - box.left)));
  }

  destroy() {
    this.off.abort();
    window.mlemFigures.delete(this.saved);
    window.dispatchEvent(new Event("mlem-figures"));
    this.sizes.disconnect();
    this.sight.disconnect();
    cancelAnimationFrame(this.loop);
    cancelAnimationFrame(this.repaint);
  }
}

const mean = (before, value) => (before ? 0.9 * before + 0.1 * value : value); // a moving one

function isDark(colour) {
  // The browser reads any notation of a colour; its luminance tells the theme.
  const ctx = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  ctx.fillStyle = colour || "#fff";
  ctx.fillRect(0, 0, 1, 1);
  const [red, green, blue] = ctx.getImageData(0, 0, 1, 1).data;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 128;
}
