// Pictures on the stage, which form as the clock goes: a row for each method, under its name and what is said of it. This is one
// module with stage.js, to which stage.py appends it.

const CELL = [52, 108]; // CSS pixels: a picture's edge at least, before a row is broken, and at most
const ONE_LINE = 560; // CSS pixels that a row's name and verdict take beside each other

// Decoded sheets, by name: one that stays from scene to scene is not decoded again. ``changed`` is told the methods that are there.
class Sheets {
  constructor(changed) {
    Object.assign(this, { changed, decoded: new Map(), scratch: document.createElement("canvas") });
  }

  get = (sheet) => sheet && this.decoded.get(sheet.name);

  async load(scene) {
    const wanted = Object.entries(scene.pictures).filter(([, row]) => row.sheet);
    const kept = new Set(wanted.map(([, row]) => row.sheet.name));
    for (const name of this.decoded.keys()) if (!kept.has(name)) this.decoded.delete(name);
    this.scene = scene;
    for (const [method, { count, sheet }] of wanted) {
      if (!this.decoded.has(sheet.name)) {
        const [way, end] = await Promise.all([scene.way, scene.end].map((part) => createImageBitmap(new Blob([part[method].values]))));
        if (this.scene !== scene) return; // another one has come meanwhile
        this.decoded.set(sheet.name, { ...sheet, count, way, end, scratch: this.scratch });
      }
    }
    this.changed(wanted.map(([method]) => method).join(" "));
  }
}

// Places the rows from the top; returns where they end.
function placePictures(scene, L) {
  const { px, font, narrow } = L, rows = Object.entries(scene.pictures), { count } = rows[0][1];
  const x0 = narrow ? 0 : L.x0, room = (narrow ? L.width : L.x1) - x0, gap = px(narrow ? 4 : 6);
  const edge = (columns) => Math.floor((room - gap * (columns - 1)) / columns);
  let columns = count;
  while (columns > 1 && edge(columns) < px(CELL[0])) columns = Math.ceil(columns / 2);
  const cell = Math.min(edge(columns), px(CELL[1])), stacked = room < px(ONE_LINE);
  L.pictures = { x0, x1: x0 + room, columns, cell, step: cell + gap, line: cell + font + px(3), stacked, rows: {} };
  let y = 0;
  for (const [method] of rows) {
    const name = y + font, verdict = stacked ? name + font + px(3) : name;
    L.pictures.rows[method] = { name, verdict, top: verdict + px(7) };
    y = verdict + px(7) + Math.ceil(count / columns) * L.pictures.line + px(8);
  }
  return y - px(8);
}

// What stands still: names, and empty places for the pictures.
function paintRows(ctx, scene, L, c) {
  for (const [method, { count, about, waiting, sheet }] of Object.entries(scene.pictures)) {
    const { x0, cell, columns, step, line, rows } = L.pictures, { name, top } = rows[method], { px, font } = L;
    mark(ctx, method, x0 + px(7), name - font * 0.36, px(5), c);
    const look = { weight: 600, size: font + px(1) };
    const used = write(ctx, L, scene.labels[method], x0 + px(18), name, c[`${method}_text`] || c.ink, look);
    write(ctx, L, about, x0 + used + px(27), name, c.muted);
    if (!sheet) say(ctx, L, method, waiting, c.muted);
    ctx.fillStyle = c.panel;
    for (let n = 0; n < count; n++) ctx.fillRect(x0 + (n % columns) * step, top + Math.floor(n / columns) * line, cell, cell);
  }
}

// The pictures as they are at ``head``: between two frames one fades into the other. At the end it is said how far off they are.
function paintPictures(ctx, scene, L, c, head, method, sheet) {
  const { count, notes } = scene.pictures[method], { x0, cell, columns, step, line, rows } = L.pictures;
  const { top } = rows[method], { px, font } = L, ended = head >= scene.frames;
  if (sheet) {
    const [strip, edge] = blend(sheet, (head / scene.frames) * (sheet.frames - 1), Math.round(cell * L.ratio));
    ctx.imageSmoothingQuality = "high";
    for (let n = 0; n < count; n++)
      ctx.drawImage(strip, n * edge, 0, edge, edge, x0 + (n % columns) * step, top + Math.floor(n / columns) * line, cell, cell);
  }
  if (!ended || !sheet) return;
  say(ctx, L, method, scene.verdict[method] || "", c.ink);
  const size = font - px(1);
  ctx.font = `400 ${size}px ${L.family}`;
  if (notes.some((note) => ctx.measureText(note).width > cell)) return; // no room
  notes.forEach((note, n) => {
    const x = x0 + (n % columns) * step + cell / 2, y = top + Math.floor(n / columns) * line + cell + size + px(1);
    write(ctx, L, note, x, y, c.muted, { align: "center", size });
  });
}

// Beside a row's name, or under it where that leaves no room.
function say(ctx, L, method, text, colour) {
  const { x0, x1, stacked, rows } = L.pictures;
  write(ctx, L, text, stacked ? x0 : x1, rows[method].verdict, colour, { align: stacked ? "left" : "right" });
}

// All pictures at ``place`` in the sheet's frames, side by side, with pixels so large that drawing them ``pixels`` wide leaves them
// crisp: [canvas, edge of a picture in it].
function blend(sheet, place, pixels) {
  const { size, count, frames, scratch } = sheet, zoom = Math.max(1, Math.ceil(pixels / size)), edge = size * zoom;
  if (scratch.width !== edge * count || scratch.height !== edge) Object.assign(scratch, { width: edge * count, height: edge });
  const ctx = scratch.getContext("2d"), frame = Math.min(frames - 1, Math.floor(place + 1e-9)), share = place - frame;
  ctx.imageSmoothingEnabled = false;
  const draw = (n) =>
    n === frames - 1
      ? ctx.drawImage(sheet.end, 0, 0, size * count, size, 0, 0, edge * count, edge)
      : ctx.drawImage(sheet.way, 0, n * size, size * count, size, 0, 0, edge * count, edge);
  ctx.globalAlpha = 1;
  draw(frame);
  if (share > 1e-3) {
    ctx.globalAlpha = share;
    draw(frame + 1);
  }
  return [scratch, edge];
}
