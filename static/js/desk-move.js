// Visits are moved by mouse, by a long press, or by `m` and the dialog. Free places show while one is dragged. A drop is
// done at once unless it asks something; ten seconds to undo. One that fails goes back to where the visit really is.
import { act, address, closeDialog, key, onForm, show, undoable, words } from "./desk-act.js";
import { columns, day, focusOn, load, onKey, place, registerOptions, repaint, root, shown, span, toast } from "./desk.js";

const question = document.getElementById("ask");
const waiting = new Map(); // reference -> the act that is under way
let hints = [];
let dragged = null;

if (words.move) {
  registerOptions({
    editable: true,
    eventDurationEditable: false,
    eventLongPressDelay: 400,
    eventDragStart: ({ event }) => { dragged = event.extendedProps.reference; showTargets(dragged); },
    eventDragStop: () => { dragged = null; hideTargets(); },
    eventDrop: ({ event, oldEvent }) => {
      // 5.10 calls this also for what has not moved.
      const column = event.resourceIds[0];
      if (Number(event.start) === Number(oldEvent.start) && column === oldEvent.resourceIds[0]) return;
      const { reference, version } = event.extendedProps;
      // That of the visit as it was picked up: somebody may have changed it in mid-drag.
      move(reference, { ...place(column, event.start), version: waiting.has(reference) ? null : version });
    },
  });
}

// -- Where it may go -------------------------------------------------------------------------------

async function showTargets(reference) {
  const query = new URLSearchParams({ from: shown.dates[0], to: shown.dates.at(-1) });
  for (const slug of new Set(columns().map(({ clinic }) => clinic))) query.append("clinic", slug);
  const answer = await fetch(`${address("targets", reference)}?${query}`, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || dragged !== reference) return;
  const { starts } = await answer.json();
  if (dragged === reference) hints = starts.flatMap(hint);
}

// A mark in each column where the visit may begin. The calendar itself must not be changed in mid-drag.
function hint([clinic, practitioner, station, start]) {
  const [date, time] = start.split("T");
  const cells = root.querySelectorAll(".ec-body .ec-day");
  return columns().flatMap((column, n) => {
    const fits = column.clinic === clinic && column.date === date
      && (column.practitioner ? column.practitioner === practitioner : column.station === station);
    if (!fits || !cells[n]) return [];
    const mark = document.createElement("i");
    mark.className = "drop-here";
    mark.dataset.at = time;
    const { from, to, step } = span();
    mark.style.top = `${(100 * (minutes(time) - from)) / (to - from)}%`;
    mark.style.height = `${(100 * step) / (to - from)}%`;
    cells[n].append(mark);
    return [mark];
  });
}

const minutes = (time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

function hideTargets() {
  for (const mark of hints) mark.remove();
  hints = [];
}

// -- Moving ----------------------------------------------------------------------------------------

// One act after the other for each visit: the second knows the version that the first one made.
function move(reference, to) {
  const turn = (waiting.get(reference) ?? Promise.resolve()).then(() => send(reference, to));
  waiting.set(reference, turn);
  return turn.finally(() => { if (waiting.get(reference) === turn) waiting.delete(reference); });
}

async function send(reference, { clinic, practitioner, station, start, version }) {
  const fields = { key: key(), version: version ?? day.bookings.get(reference)?.version ?? 1, clinic, start };
  if (practitioner) fields.practitioner = practitioner;
  if (station) fields.station = station;
  let { said } = await act(address("move", reference), fields);
  if (said.ask) {
    const choice = await ask(said.ask);
    if (!choice) return back(reference);
    ({ said } = await act(address("move", reference), { ...fields, sure: "1", ...(choice === "whole" && { whole: "1" }) }));
  }
  if (!said.moved) {
    toast(said.error, { isError: true });
    return back(reference);
  }
  await load();
  repaint(`b${reference}`); // a drop inside a time begins where that begins
  requestAnimationFrame(() => focusOn(`b${reference}`));
  undoable([said.sentence, ...said.notes].join(" "), () => undo(reference, said), said.seconds);
}

async function back(reference) {
  repaint(`b${reference}`);
  await load();
  requestAnimationFrame(() => focusOn(`b${reference}`));
}

async function undo(reference, done) {
  const { said } = await act(done.undo, { key: done.key });
  toast(said.sentence ?? said.error, { isError: !said.sentence });
  await load();
  repaint(`b${reference}`);
  requestAnimationFrame(() => focusOn(`b${reference}`));
}

// What is to be known first. Resolves to "one", "whole" or "" for neither.
function ask({ questions, notes, along }) {
  const list = question.querySelector("ul");
  list.replaceChildren(...[...questions, ...notes].map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
  question.querySelector("[value=whole]").hidden = !along;
  question.returnValue = "";
  question.showModal();
  return new Promise((resolve) => question.addEventListener("close", () => resolve(question.returnValue), { once: true }));
}

// -- By keyboard -----------------------------------------------------------------------------------

const inFocus = () => document.activeElement?.closest?.(".ec-event")?.querySelector("[data-booking]")?.dataset.booking;

function chooseTime(reference) {
  const { date } = day.bookings.get(reference) ?? {};
  show(`${address("move", reference)}${date ? `?day=${date}` : ""}`);
}

if (words.move) {
  onKey("m", () => {
    const reference = inFocus();
    if (!reference) return toast(words.choose);
    if (day.bookings.get(reference)?.status !== "booked") return toast(words.unmovable);
    chooseTime(reference);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-move], [data-cancel]");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (link.dataset.move) chooseTime(link.dataset.move);
    else show(link.href);
  });
}

onForm("data-move-dialog", async (form, button) => {
  const { reference } = form.closest("[data-move-dialog]").dataset;
  const { version, clinic } = Object.fromEntries(new FormData(form));
  const [practitioner, station, start] = button.value.split(" ");
  closeDialog();
  await move(reference, { practitioner, station, start, clinic, version });
});

onForm("data-cancel-dialog", async (form) => {
  const { said } = await act(form.action, new FormData(form));
  closeDialog();
  toast(said.sentence ?? said.error, { isError: !said.sentence });
  // What it costs has changed meanwhile: asked again with the new amount.
  if (said.again) show(said.again);
  load();
});
