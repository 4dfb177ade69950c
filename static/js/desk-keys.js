// The calendar's roles and keys: a grid of 300 bookings is one tab stop, arrows lead to the nearest.
const LOST_ROLES = ["table", "rowgroup", "row", "columnheader", "rowheader", "cell"];
const visits = (root) => [...root.querySelectorAll(".ec-event[role=button]")];

// It claims to be a table, with the wrong children.
export function fixRoles(root, label) {
  for (const role of LOST_ROLES) {
    for (const node of root.querySelectorAll(`[role=${role}]`)) node.removeAttribute("role");
  }
  for (const name of ["aria-colindex", "aria-colspan", "aria-rowindex", "aria-rowspan"]) {
    for (const node of root.querySelectorAll(`[${name}]`)) node.removeAttribute(name);
  }
  const main = root.querySelector(".ec-main");
  if (!main) return;
  main.tabIndex = 0;
  main.setAttribute("role", "group");
  main.setAttribute("aria-label", label);
}

export const keepOneTabStop = {
  mounted({ el, event }) {
    el.tabIndex = -1;
    if (event.extendedProps.reference) return;
    el.removeAttribute("role");
    el.removeAttribute("tabindex");
  },
  updated(root) {
    const all = visits(root);
    if (!all.some((el) => el.tabIndex === 0) && all.length) first(all).tabIndex = 0;
  },
};

function first(all) {
  return all.map(place).sort((a, b) => a.x - b.x || a.y - b.y)[0].el;
}

function place(el) {
  const { left, right, top, bottom } = el.getBoundingClientRect();
  return { el, left, x: (left + right) / 2, y: (top + bottom) / 2 };
}

// j and k: all visits in turn, column by column.
export function walk(root, direction) {
  const all = visits(root).map(place).sort((a, b) => a.left - b.left || a.y - b.y).map(({ el }) => el);
  const here = all.indexOf(document.activeElement);
  if (here < 0) return all.find((el) => el.tabIndex === 0)?.focus();
  go(all[here], all[here + direction]);
}

function go(from, to) {
  if (!to) return;
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

const AHEAD = {
  ArrowUp: (dx, dy) => [-dy, Math.abs(dx)],
  ArrowDown: (dx, dy) => [dy, Math.abs(dx)],
  ArrowLeft: (dx, dy) => [-dx, Math.abs(dy)],
  ArrowRight: (dx, dy) => [dx, Math.abs(dy)],
};

export function arrowKeys(event, root) {
  const from = event.target.closest?.(".ec-event[role=button]");
  const ahead = AHEAD[event.key];
  if (!from || !ahead) return;
  event.preventDefault();
  const here = place(from);
  const candidates = visits(root).filter((el) => el !== from).map((el) => {
    const { x, y } = place(el);
    const [along, aside] = ahead(x - here.x, y - here.y);
    return { el, along, cost: along + 3 * aside };
  });
  const next = candidates.filter(({ along }) => along > 8).sort((a, b) => a.cost - b.cost)[0]?.el;
  go(from, next);
}
