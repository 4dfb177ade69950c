// The desk's calendar: a day by practitioner or by room, a week of one practitioner, or all clinics side by side; live.
//
// For the modules that act on it (each is imported by desk-page.js, after this one):
//   registerOptions({eventDrop, select, editable, …})  options of EventCalendar; handlers of one name are all called
//   calendar()     the EventCalendar, null before the first dataset and while a refusal is shown
//   day            what is known: day.slots (Map by id), day.bookings (Map by reference), day.clinics
//   shown          what is looked at: {view, date, dates, practitioner, service, status, who}
//   span()         {from, to, step} of the rows, in minutes of the day
//   columns()      [{id, title, clinic (slug), practitioner, station, date}]: `id` is the event's resourceIds[0]
//   place(columnId, date)  {clinic, practitioner, station, start: "2026-10-05T09:20" at the clinic, slot, status} under a
//                  position of the calendar. Always by this: in the week all columns have the date of the day chosen.
//   repaint(id)    draws an event where it really is, after it was dragged
//   refetch()      asks for the dataset soon (150 ms); await load() for at once
//   toast(text, {action, label, seconds, isError})  -> a function that closes it
//   onKey(key, run)  a key of the whole desk, not in fields and dialogs; list it in templates/scheduling/_desk_keys.html
//   event.extendedProps  {kind: "visit|claim|gap|now", reference, version, clinic, practitioner, station, date, service,
//                  status: "booked|late|arrived|called|started|fulfilled|held|blocked|off", isMovable, isOverbooked}
// DOM events on the root (#desk), which bubble: desk:pick (an empty time was clicked; detail: a place),
// desk:open (a visit is shown in the drawer #details; detail: {reference, version, clinic}), desk:painted (new facts are
// on screen), desk:lost (the user may not see this any more). While an event is dragged nothing is repainted.
import { clock, serverTime, wallClock } from "./desk-clock.js";
import { Day } from "./desk-day.js";
import { box, label } from "./desk-box.js";
import { arrowKeys, fixRoles, keepOneTabStop, walk } from "./desk-keys.js";
import { isTyping, onKey } from "./desk-shortcuts.js";
import { Shown } from "./desk-shown.js";
import { toast } from "./desk-toast.js";
import { board } from "./desk-views.js";
import { keepFresh } from "./live.js";

export { onKey, toast };
export const root = document.querySelector("[data-desk]");
const words = root.dataset;
export const day = new Day();
export const today = () => wallClock(words.zone).date;
serverTime.set(Number(words.now));
export const shown = new Shown(today);

const dialog = document.getElementById("details");
const handlers = new Map(); // option name -> functions of all modules
const plain = {};
let ec = null;
let painted = null; // what the calendar shows: {columns, from, to, step, nominal, texts: Map(event id -> JSON)}
let isDragging = false;

export const calendar = () => ec;
export const columns = () => painted?.columns ?? [];
export const span = () => painted; // {from, to, step} in minutes of the day

export function registerOptions(options) {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== "function") plain[name] = value;
    else handlers.set(name, [...(handlers.get(name) ?? []), value]);
  }
  if (!ec) return;
  for (const [name, value] of Object.entries(gathered())) if (name in options) ec.setOption(name, value);
}

// The answer of the last handler that has one: for handlers that decide.
function gathered() {
  const calls = [...handlers].map(([name, all]) => [name, (...args) => all.map((run) => run(...args)).findLast((answer) => answer !== undefined)]);
  return { ...plain, ...Object.fromEntries(calls) };
}

export function place(columnId, at) {
  const column = columns().find(({ id }) => id === columnId);
  if (!column) return null;
  const minutes = at.getHours() * 60 + at.getMinutes();
  const slot = [...day.slots.values()].find((each) => each.clinic === column.clinic && each.date === column.date
    && each.start <= minutes && minutes < each.end
    && (column.station ? each.station === column.station : each.practitioner === column.practitioner));
  return {
    clinic: column.clinic, practitioner: slot?.practitioner ?? column.practitioner, station: slot?.station ?? column.station,
    start: `${column.date}T${clock(minutes)}`, slot: slot?.id ?? null, status: slot?.status ?? "off",
  };
}

const tell = (name, detail) => root.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));

registerOptions({
  dateClick: ({ date, resource }) => tell("desk:pick", place(resource.id, date)),
  eventClick: ({ event }) => { if (event.extendedProps.reference) open(event.extendedProps.reference); },
  eventDragStart: () => { isDragging = true; },
  // Events that are replaced in mid-drag leave a ghost behind.
  eventDragStop: () => setTimeout(() => { isDragging = false; paint(); }),
  eventDidMount: keepOneTabStop.mounted,
  eventAllUpdated: () => keepOneTabStop.updated(root),
  viewDidMount: () => queueMicrotask(() => fixRoles(root, words.label)),
  datesSet: () => setTimeout(() => fixRoles(root, words.label)),
});

// -- What is known ---------------------------------------------------------------------------------

let asked = 0;
let knownFor = "";

export async function load() {
  const turn = ++asked;
  const wanted = address();
  const answer = await fetch(wanted, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(8000) }).catch(() => null);
  if (!answer || turn !== asked || wanted !== address()) return;
  if (answer.redirected || [401, 403, 404].includes(answer.status)) return lose(answer.redirected);
  const dataset = answer.ok && await answer.json().catch(() => null);
  if (!dataset || turn !== asked || wanted !== address()) return;
  day.adopt(dataset, { isOther: knownFor !== wanted });
  knownFor = wanted;
  root.dataset.shown = `${shown.view} ${shown.date}`;
  root.removeAttribute("aria-busy");
  paint();
}

function address() {
  const dates = shown.dates;
  const query = new URLSearchParams({ from: dates[0], to: dates.at(-1) });
  if (shown.view === "week" && shown.practitioner) query.set("practitioner", shown.practitioner);
  return `${shown.view === "clinics" ? words.datasets : words.dataset}?${query}`;
}

function sockets() {
  const slugs = shown.view === "clinics" ? words.clinics.split(" ") : [words.clinic];
  return slugs.flatMap((slug) => shown.dates.map((date) => `/ws/clinics/${slug}/${date}/`));
}

// Logged out, or no longer staff: the names go from the screen, and a sentence says why.
function lose(isLoggedOut) {
  asked++;
  refetch.follow([]);
  clearInterval(ticking);
  day.forget();
  ec?.destroy?.();
  ec = painted = null;
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  dialog.querySelector("[data-details-body]").replaceChildren();
  root.replaceChildren(document.getElementById(isLoggedOut ? "desk-logged-out" : "desk-refused").content.cloneNode(true));
  root.removeAttribute("aria-busy");
  document.getElementById("toasts").replaceChildren();
  tell("desk:lost");
}

// -- What is shown ---------------------------------------------------------------------------------

// All changes in one tick: the calendar renders once.
export function paint() {
  if (isDragging || !day.clinics.length) return;
  const next = board(day, shown, words);
  if (!next.columns.length) return empty();
  next.texts = new Map(next.events.map((event) => [event.id, JSON.stringify(event)]));
  next.frame = JSON.stringify([next.columns, next.from, next.to, next.step, shown.date, shown.view]);
  const focused = root.contains(document.activeElement) && document.activeElement.className.match(/(?:^| )ev-(\S+)/)?.[1];
  if (ec && painted.frame === next.frame) update(next);
  else create(next);
  if (focused) requestAnimationFrame(() => keepFocus(focused));
  tell("desk:painted");
}

// On the same visit, or on the calendar where the visit has gone.
function keepFocus(id) {
  if (document.activeElement === document.body && !focusOn(id)) root.querySelector(".ec-main")?.focus();
}

function update(next) {
  for (const id of painted.texts.keys()) if (!next.texts.has(id)) ec.removeEventById(id);
  for (const event of next.events) {
    const old = painted.texts.get(event.id);
    if (!old) ec.addEvent(event);
    else if (old !== next.texts.get(event.id)) ec.updateEvent(event);
  }
  painted = next;
}

// What was dragged is drawn anew where it really is.
export function repaint(id) {
  if (painted?.texts.has(id)) painted.texts.set(id, "moved by hand");
  paint();
}

function empty() {
  ec?.destroy?.();
  ec = painted = null;
  root.innerHTML = '<p class="desk-empty"></p>';
  root.firstElementChild.textContent = words.empty;
}

function create(next) {
  const isSame = painted?.view === shown.view;
  const top = isSame ? root.querySelector(".ec-main")?.scrollTop : undefined;
  ec?.destroy?.();
  root.replaceChildren();
  painted = { ...next, view: shown.view };
  root.dataset.view = shown.view;
  ec = EventCalendar.create(root, {
    view: "resourceTimeGridDay",
    date: shown.date,
    resources: next.columns.map(({ id, title, note }) => ({ id, title, extendedProps: { note } })),
    events: next.events,
    locale: document.documentElement.lang,
    headerToolbar: { start: "", center: "", end: "" },
    slotDuration: clock(next.step),
    slotLabelInterval: "01:00",
    slotLabelFormat: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    slotMinTime: clock(next.from),
    slotMaxTime: clock(next.to),
    slotHeight: 42,
    scrollTime: clock(scrollTo(next)),
    columnWidth: shown.view === "week" ? "minmax(6rem, 1fr)" : "minmax(6.75rem, 1fr)",
    slotEventOverlap: false,
    allDaySlot: false,
    editable: false,
    nowIndicator: false,
    resourceLabelContent: label,
    eventContent: ({ event }) => (event.display === "background" ? "" : { domNodes: [box(event)] }),
    eventClassNames: ({ event }) => [`ev-${event.id}`, `st-${event.extendedProps.status}`],
    ...gathered(),
  });
  if (top !== undefined) root.querySelector(".ec-main").scrollTop = top;
}

function scrollTo({ from, to }) {
  const { date, minutes } = wallClock(words.zone);
  return shown.dates.includes(date) ? Math.min(Math.max(from, Math.floor(minutes / 60) * 60 - 60), to) : from;
}

// What is on paper: the visits that the filters leave, in order.
export const printed = () => (painted?.events ?? [])
  .filter(({ extendedProps: { kind, isDimmed } }) => kind === "visit" && !isDimmed)
  .map(({ resourceIds: [columnId], extendedProps: { reference, state } }) => {
    const { start, end, patient, service_name: service } = day.bookings.get(reference);
    return { columnId, start, end, patient, service, state };
  })
  .sort((a, b) => a.start - b.start);

// Another day, view or filter, from the controls, a key or the browser's own buttons.
export function show(changes, options) {
  if (changes) shown.write(changes, options);
  tell("desk:shown");
  refetch.follow(sockets());
  const isKnown = knownFor === address();
  root.removeAttribute("aria-busy");
  if (isKnown) return paint();
  root.setAttribute("aria-busy", "true");
  load();
}
addEventListener("popstate", () => { shown.read(); show(null); });

// -- The drawer of a visit -------------------------------------------------------------------------

export async function open(reference) {
  const booking = day.bookings.get(reference);
  const url = words.details.replace(`/${words.clinic}/`, `/${booking?.clinic ?? words.clinic}/`).replace("/0/", `/${reference}/`);
  const answer = await fetch(url, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return location.assign(url);
  const body = dialog.querySelector("[data-details-body]");
  body.innerHTML = await answer.text();
  htmx.process(body);
  dialog.dataset.of = `b${reference}`;
  if (!dialog.open) dialog.showModal();
  tell("desk:open", { reference, version: booking?.version, clinic: booking?.clinic });
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => focusOn(dialog.dataset.of));

// The box of an event, for example `b${reference}`; false where it is not shown.
export function focusOn(id) {
  const node = document.querySelector(`[class~="ev-${CSS.escape(id)}"]`);
  node?.focus();
  return Boolean(node);
}

onKey("j", () => walk(root, 1));
onKey("k", () => walk(root, -1));
root.addEventListener("keydown", (event) => { if (!event.shiftKey && !isTyping(event.target)) arrowKeys(event, root); });

export const refetch = keepFresh(sockets(), {
  maxWait: 2000, // the desk is to be back within two seconds of the server
  onMessage: (message) => {
    if (day.apply(message)) refetch();
    paint();
  },
  onState: (isLive) => tell("desk:live", { isLive }),
  refetch: load,
});
const ticking = setInterval(() => { if (day.lapse() || isNewMinute()) paint(); }, 1000);

let minute = null;
function isNewMinute() {
  const { minutes } = wallClock(words.zone);
  const isNew = minutes !== minute;
  minute = minutes;
  return isNew;
}

root.setAttribute("aria-busy", "true");
load();
