// The day of a clinic: one column for each practitioner, live.
import { keepFresh } from "./live.js";
import { Day } from "./desk-day.js";
import { arrowKeys, fixRoles, keepOneTabStop } from "./desk-keys.js";

const root = document.querySelector("[data-desk]");
const status = document.querySelector("[data-live-status]");
const dialog = document.getElementById("details");
const data = root.dataset;
const day = new Day(data);
let calendar = null;
let shown = new Map(); // event id -> what was shown of it, as text

async function load() {
  const answer = await fetch(data.dataset, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer) return;
  if (answer.redirected) return location.reload(); // logged out meanwhile
  if (!answer.ok) return;
  day.adopt(await answer.json());
  paint();
}

// All changes in one tick: the calendar renders once.
function paint() {
  if (!calendar) return day.columns.length ? create() : empty();
  if (day.columnsChanged) return location.reload();
  const events = day.events();
  const fresh = new Map(events.map((event) => [event.id, JSON.stringify(event)]));
  for (const id of shown.keys()) if (!fresh.has(id)) calendar.removeEventById(id);
  for (const event of events) {
    if (!shown.has(event.id)) calendar.addEvent(event);
    else if (shown.get(event.id) !== fresh.get(event.id)) calendar.updateEvent(event);
  }
  shown = fresh;
}

function empty() {
  root.innerHTML = '<p class="desk-empty"></p>';
  root.firstElementChild.textContent = data.empty;
}

function create() {
  root.replaceChildren();
  const events = day.events();
  shown = new Map(events.map((event) => [event.id, JSON.stringify(event)]));
  const span = day.span();
  calendar = EventCalendar.create(root, {
    view: "resourceTimeGridDay",
    date: data.day,
    resources: day.columns.map(({ id, name, specialty }) => ({ id, title: name, extendedProps: { specialty } })),
    events,
    locale: document.documentElement.lang,
    headerToolbar: { start: "", center: "", end: "" },
    slotDuration: span.step,
    slotLabelInterval: "01:00",
    slotLabelFormat: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    slotMinTime: span.from,
    slotMaxTime: span.to,
    slotHeight: 42,
    scrollTime: span.scrollTo,
    columnWidth: "minmax(8.5rem, 1fr)",
    slotEventOverlap: false,
    allDaySlot: false,
    editable: false,
    nowIndicator: isClinicTimeHere(),
    resourceLabelContent: ({ resource }) => ({ domNodes: [text("b", resource.title), text("small", resource.extendedProps.specialty)] }),
    eventContent: ({ event }) => (event.display === "background" ? "" : { domNodes: [box(event)] }),
    eventClassNames: ({ event }) => [`ev-${event.id}`, `st-${event.extendedProps.status}`],
    eventClick: ({ event }) => { if (event.extendedProps.reference) open(event); },
    eventDidMount: keepOneTabStop.mounted,
    eventAllUpdated: () => keepOneTabStop.updated(root),
    viewDidMount: () => queueMicrotask(() => fixRoles(root, data.label)),
    datesSet: () => setTimeout(() => fixRoles(root, data.label)),
  });
}

// The red line is drawn by this computer's clock: only where that is the clinic's.
function isClinicTimeHere() {
  const now = new Date();
  return now.toLocaleString("sv", { timeZone: data.zone }) === now.toLocaleString("sv");
}

function text(name, content) {
  const node = document.createElement(name);
  node.textContent = content;
  return node;
}

function box(event) {
  const { status, first, second, isFresh } = event.extendedProps;
  const node = document.createElement("div");
  const isTall = event.end - event.start >= 40 * 60_000;
  node.className = `visit-box${isFresh ? " fresh" : ""}${isTall ? " tall" : ""}`;
  node.dataset.status = status;
  if (event.extendedProps.reference) node.dataset.booking = event.extendedProps.reference;
  node.append(text("b", first), text("span", second));
  return node;
}

async function open(event) {
  const url = data.details.replace("/0/", `/${event.extendedProps.reference}/`);
  const answer = await fetch(url, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return location.assign(url);
  dialog.querySelector("[data-details-body]").innerHTML = await answer.text();
  dialog.dataset.of = event.id;
  dialog.showModal();
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  document.querySelector(`[class~="ev-${CSS.escape(dialog.dataset.of)}"]`)?.focus();
});
root.addEventListener("keydown", (event) => arrowKeys(event, root));

const refetch = keepFresh([data.socket], {
  onMessage: (message) => {
    if (day.apply(message)) refetch();
    paint();
  },
  onState: (isLive) => {
    status.dataset.state = isLive ? "live" : "poll";
    status.textContent = isLive ? status.dataset.liveText : status.dataset.pollText;
  },
  refetch: load,
});
setInterval(() => { if (day.lapse()) paint(); }, 1000);
load();
