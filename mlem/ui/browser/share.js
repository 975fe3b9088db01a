// The figures of an experiment that are on the page, each with buttons that save it (see share.py).

import { figures, save } from "./figures.js";

const FORMATS = ["png", "svg"];

export default function ({ data, parentElement }) {
  // Called again, with the same parent and without a clean-up between, whenever the data or the theme changes.
  let root = parentElement.querySelector(".share");
  if (!root) {
    root = Object.assign(document.createElement("div"), { className: "share", innerHTML: `<ul></ul><p role="status"></p>` });
    parentElement.append(root);
    root.list = () => list(root);
    window.addEventListener("mlem-figures", root.list);
  }
  root.about = data;
  list(root);
  return () => {
    window.removeEventListener("mlem-figures", root.list);
    root.remove();
  };
}

function list(root) {
  const { experiment } = root.about, found = [...figures()].filter(({ name }) => name.startsWith(`${experiment}.`));
  found.sort((a, b) => (a.element.compareDocumentPosition(b.element) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  root.querySelector("ul").replaceChildren(...found.map((figure) => row(root, figure)));
}

function row(root, figure) {
  const item = document.createElement("li"), name = figure.name.split(".").at(-1).replaceAll("-", " ");
  const title = name[0].toUpperCase() + name.slice(1);
  item.append(Object.assign(document.createElement("span"), { textContent: title }));
  for (const format of FORMATS) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: format.toUpperCase() });
    button.setAttribute("aria-label", `Save ${title} as ${format.toUpperCase()}`);
    button.addEventListener("click", () => act(root, figure, format));
    item.append(button);
  }
  return item;
}

async function act(root, figure, format) {
  const status = root.querySelector("p"), { title, caption } = root.about;
  status.textContent = "Drawing…";
  status.textContent = await save(figure, format, { title, caption }).then(
    (name) => `Saved ${name}`,
    (error) => `This could not be saved: ${error.message}`,
  );
}
