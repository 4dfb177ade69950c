// The controls above the calendar: days, views and filters without loading the page, their keys, and what they say.
import { inWords } from "./desk-clock.js";
import { onKey, root, show, shown, today } from "./desk.js";

const head = document.querySelector("[data-desk-head]");
const filters = head.querySelector("[data-filters]");
const heading = head.querySelector("h1");
const status = document.querySelector("[data-live-status]");
const rollover = document.querySelector("[data-rollover]");
const GO = { previous: () => shown.step(-1), next: () => shown.step(1), today };

function paint() {
  for (const name of ["date", "practitioner", "service", "status", "who"]) {
    const field = filters.elements.namedItem(name);
    const value = String(shown[name] ?? "");
    if (field !== document.activeElement || field.value.trim() !== value) field.value = value;
  }
  paintLinks();
}

function paintLinks() {
  heading.textContent = inWords(shown.date);
  document.title = document.title.replace(/^.*?(?= · )/, inWords(shown.date, { weekday: "short", day: "numeric", month: "short" }));
  for (const link of head.querySelectorAll("[data-view]")) {
    current(link, "true", link.dataset.view === shown.view);
    link.href = shown.query({ view: link.dataset.view });
  }
  for (const link of head.querySelectorAll("[data-go]")) link.href = shown.query({ date: GO[link.dataset.go]() });
  const list = head.querySelector("[data-list]");
  const query = new URLSearchParams(shown.query().split("?")[1]);
  query.set("date", shown.date);
  query.set("list", "1");
  list.href = `?${query}`;
  const elsewhere = new URL(shown.query({ practitioner: null }), location).search;
  for (const link of head.querySelectorAll("[data-place]")) link.search = elsewhere;
  head.querySelector("[data-filter-clear]").hidden = !isFiltered();
  turnOver();
}

const isFiltered = () => Boolean(shown.practitioner && shown.view !== "week") || Boolean(shown.service || shown.status || shown.who);

// A tab that stood open over midnight says that it shows yesterday.
let wasToday = shown.date === today();
function turnOver() {
  if (shown.date === today()) wasToday = true;
  current(head.querySelector("[data-go=today]"), "date", shown.date === today());
  rollover.hidden = !(wasToday && shown.date < today());
}

function current(link, value, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", value);
  else link.removeAttribute("aria-current");
}

// In the week somebody is looked at: whoever was chosen, else the first of the day.
const week = () => ({ view: "week", practitioner: shown.practitioner ?? (Number(filters.elements.namedItem("practitioner").options[1]?.value) || null) });
const viewed = (view) => (view === "week" ? week() : { view });

head.addEventListener("click", (event) => {
  const link = event.target.closest("[data-go], [data-view], [data-filter-clear]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.dataset.go) show({ date: GO[link.dataset.go]() });
  else if (link.dataset.view) show(viewed(link.dataset.view));
  else show({ practitioner: null, service: null, status: "", who: "" });
});
rollover.addEventListener("click", (event) => { if (event.target.closest("button")) show({ date: today() }); });

function filter({ isStep = false } = {}) {
  const { date, practitioner, service, status, who } = Object.fromEntries(new FormData(filters));
  const day = date >= "2000-01-01" && date <= "2200-12-31" ? date : shown.date;
  show({ date: day, practitioner: Number(practitioner) || (shown.view === "week" ? shown.practitioner : null), service: Number(service) || null, status, who: who.trim() }, { isStep });
}
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  filter({ isStep: true });
  if (document.activeElement.name === "who") firstMatch()?.closest(".ec-event").focus();
});
filters.addEventListener("change", () => filter({ isStep: true }));
filters.elements.namedItem("who").addEventListener("input", () => {
  filter();
  requestAnimationFrame(() => firstMatch()?.scrollIntoView({ block: "nearest", inline: "nearest" }));
});

const firstMatch = () => shown.who && root.querySelector(".visit-box[data-booking]:not(.dimmed)");

for (const [key, view] of [["d", "day"], ["s", "stations"], ["w", "week"], ["c", "clinics"]]) {
  onKey(key, () => head.querySelector(`[data-view=${view}]`)?.click());
}
for (const [go, ...keys] of [["today", "t"], ["previous", "[", "Shift+ArrowLeft"], ["next", "]", "Shift+ArrowRight"]]) {
  for (const key of keys) onKey(key, () => head.querySelector(`[data-go=${go}]`).click());
}
onKey("/", () => filters.elements.namedItem("who").focus());
onKey("g", () => filters.elements.namedItem("date").focus());

root.addEventListener("desk:shown", paint);
root.addEventListener("desk:painted", turnOver);
root.addEventListener("desk:live", ({ detail }) => {
  status.dataset.state = detail.isLive ? "live" : "poll";
  status.textContent = detail.isLive ? status.dataset.liveText : status.dataset.pollText;
});
root.addEventListener("desk:lost", () => { delete status.dataset.state; status.textContent = ""; });
setInterval(turnOver, 1000);
if (shown.view === "week" && !shown.practitioner) show(week(), { isStep: false });
paintLinks(); // not the fields: somebody may have been faster than the scripts
