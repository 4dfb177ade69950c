// How a visit, a hold or a blocked time looks: a name, a line of words, an icon. The icons are those of the legend.
const TALL_MINUTES = 40;
const icons = new Map();

export function text(name, content) {
  const node = document.createElement(name);
  node.textContent = content;
  return node;
}

function icon(status) {
  if (!icons.has(status)) icons.set(status, document.querySelector(`.legend .st-${status} svg`));
  return icons.get(status)?.cloneNode(true);
}

export function box({ start, end, extendedProps }) {
  const { status, first, second, reference, isFresh, isDimmed, isOverbooked, isConfirmed } = extendedProps;
  const node = document.createElement("div");
  node.className = "visit-box";
  node.classList.toggle("fresh", Boolean(isFresh));
  node.classList.toggle("tall", end - start >= TALL_MINUTES * 60_000);
  node.classList.toggle("dimmed", Boolean(isDimmed));
  node.classList.toggle("overbooked", Boolean(isOverbooked));
  node.dataset.status = status;
  if (reference) node.dataset.booking = reference;
  const name = document.createElement("b");
  name.append(first);
  const marks = [isOverbooked && icon("overbooked"), isConfirmed && icon("confirmed"), status !== "booked" && icon(status)].filter(Boolean);
  if (marks.length) name.prepend(...marks);
  node.append(name, text("span", second));
  return node;
}

export function label({ resource }) {
  const { title, extendedProps } = resource;
  return { domNodes: [text("b", title), text("small", extendedProps.note)] };
}
