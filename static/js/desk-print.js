// The day on paper: a table for each column, without what the filters dim. Made when it is printed, by whatever way.
import { text } from "./desk-box.js";
import { clock } from "./desk-clock.js";
import { columns, onKey, root, printed } from "./desk.js";

const sheet = document.getElementById("desk-print");
const { time, patient, service, state, none } = sheet.dataset;

function table(column, visits) {
  const node = document.createElement("table");
  node.append(text("caption", [column.title, column.note].filter(Boolean).join(" · ")));
  node.createTHead().append(row("th", [time, patient, service, state]));
  const body = node.createTBody();
  for (const visit of visits) body.append(row("td", visit));
  if (!visits.length) body.append(row("td", [none]));
  return node;
}

function row(name, words) {
  const node = document.createElement("tr");
  node.append(...words.map((each) => text(name, each)));
  return node;
}

function fill() {
  const heading = text("h1", `${sheet.dataset.clinic} · ${document.querySelector("h1").textContent}`);
  const visits = printed();
  sheet.replaceChildren(heading, ...columns().map((column) => table(column, visits
    .filter(({ columnId }) => columnId === column.id)
    .map(({ start, end, patient, service, state }) => [`${clock(start)}–${clock(end)}`, patient, service, state]))));
}

addEventListener("beforeprint", fill);
addEventListener("afterprint", () => sheet.replaceChildren());
root.addEventListener("desk:lost", () => sheet.replaceChildren());
onKey("p", () => print());
document.querySelector("[data-print-day]").addEventListener("click", () => print());
