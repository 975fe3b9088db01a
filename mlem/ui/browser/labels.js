// Labels of a plot, moved up or down where they would cover each other, and sideways where the plot's edge would cut them. A label is
// an annotation without an arrow; it stays where it is if it belongs to the plot as a whole (yref "paper"), as headings do. Points'
// own texts stay too.

const GAP = 1, BESIDE = 10; // CSS pixels between labels: one above another, and one beside another
const ROUNDS = 60; // in which neighbours of neighbours settle

export function separate(element) {
  const { annotations = [], width, height } = element.layout, frame = element.getBoundingClientRect();
  const scale = frame.width / width; // of a chart that is enlarged
  const found = [...element.querySelectorAll(".annotation")].map((group) => ({ group, note: annotations[group.dataset.index] }));
  const labels = found.filter(({ group, note }) => note && !note.showarrow && group.querySelector("text")); // one out of view has none
  for (const { group } of labels) group.removeAttribute("transform"); // Plotly leaves a label that it need not draw anew
  const boxes = labels.map(({ group, note }) => {
    const box = boxOf(group.querySelector("text"), frame, scale), aside = Math.min(0, width - box.right) || Math.max(0, -box.left);
    return { ...box, left: box.left + aside, right: box.right + aside, aside, from: box.top, fixed: note.yref === "paper", group, note };
  });
  const texts = [...element.querySelectorAll(".textpoint text")].map((text) => ({ ...boxOf(text, frame, scale), fixed: true }));
  moveApart([...boxes, ...texts], height);
  for (const { group, note, aside, from, top } of boxes) {
    const down = top - from;
    if (!aside && !down) continue;
    group.setAttribute("transform", `translate(${aside},${down})`);
    Object.assign(note, { xshift: (note.xshift || 0) + aside, yshift: (note.yshift || 0) - down }); // for who saves the picture
  }
}

function boxOf(text, frame, scale) {
  const { left, right, top, bottom } = text.getBoundingClientRect();
  const [x0, x1, y0, y1] = [left - frame.left, right - frame.left, top - frame.top, bottom - frame.top].map((place) => place / scale);
  return { left: x0, right: x1, top: y0, tall: y1 - y0 };
}

// Changes ``top`` of boxes {left, right, top, tall, fixed}, as little as needed, keeping their order and within 0 … ``height``.
export function moveApart(boxes, height) {
  for (let round = 0, moved = true; moved && round < ROUNDS; round++) {
    moved = false;
    for (const [i, one] of boxes.entries())
      for (const other of boxes.slice(i + 1)) {
        if ((one.fixed && other.fixed) || one.left >= other.right + BESIDE || other.left >= one.right + BESIDE) continue;
        const middle = ({ top, tall }) => top + tall / 2, [upper, lower] = middle(one) <= middle(other) ? [one, other] : [other, one];
        const covered = upper.top + upper.tall + GAP - lower.top;
        if (covered <= 0.01) continue;
        const share = upper.fixed ? 0 : lower.fixed ? 1 : 0.5;
        upper.top -= share * covered;
        lower.top += (1 - share) * covered;
        for (const box of [upper, lower]) if (!box.fixed) box.top = Math.max(0, Math.min(height - box.tall, box.top));
        moved = true;
      }
  }
}
