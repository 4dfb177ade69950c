// The times of a day: a time greys out when any slot that the visit would take is no longer free.
import { keepFresh } from "./live.js";

const form = document.querySelector("[data-times]");
const box = form.querySelector("[data-live]");
const status = document.querySelector("[data-live-status]");
const notes = { held: box.dataset.held, booked: box.dataset.taken, blocked: box.dataset.taken, available: "" };
const slots = new Map(); // slot id -> {version, status, until}, as far as known
let clockAhead = 0; // server's clock minus ours, ms

const serverNow = () => Date.now() + clockAhead;
const setClock = (now) => { clockAhead = now - Date.now(); };
const buttons = () => box.querySelectorAll("button[data-slot]");
const covers = (button) => button.dataset.covers.split(" ").map(Number);

// What the page says: all slots of a free time are free; of a taken one only its first slot's version is known.
function learn() {
  slots.clear();
  setClock(Number(box.firstElementChild.dataset.now));
  for (const button of buttons()) {
    const { status, version, heldUntil, slot } = button.dataset;
    const ids = covers(button);
    if (status === "available") for (const id of ids) slots.set(id, { version: 0, status, until: null });
    const own = ids.length === 1 || status === "available";
    slots.set(Number(slot), { version: Number(version), status: own ? status : null, until: heldUntil ? Number(heldUntil) : null });
  }
}

function apply(message) {
  if (message.now) setClock(message.now);
  const changed = new Set();
  for (const [id, version, status, until] of message.slots) {
    const known = slots.get(id);
    if (known && known.version >= version) continue; // a late message
    slots.set(id, { version, status, until });
    changed.add(id);
  }
  repaint(changed);
}

function repaint(changed) {
  let unsure = false;
  for (const button of buttons()) {
    const ids = covers(button);
    if (!ids.some((id) => changed.has(id))) continue;
    const states = ids.map((id) => slots.get(id)?.status ?? null);
    const worst = ["booked", "blocked", "held"].find((status) => states.includes(status));
    if (worst) show(button, worst);
    else if (states.every((status) => status === "available")) show(button, "available");
    else unsure = true; // free as far as known: only the server knows the rest
  }
  if (unsure) refetch();
}

function show(button, status) {
  if (button.dataset.status === status) return;
  button.dataset.status = status;
  button.disabled = status !== "available";
  button.querySelector(".slot-note").textContent = notes[status];
  button.classList.remove("just-changed");
  requestAnimationFrame(() => button.classList.add("just-changed"));
  count(button.closest("section"));
}

function count(card) {
  const free = card.querySelectorAll('[data-status="available"]').length;
  const chip = card.querySelector("[data-free-of]");
  chip.textContent = chip.textContent.replace(/\d+/, free);
}

// A hold ends by itself, by the server's clock.
function lapse() {
  const now = serverNow();
  const ended = new Set();
  for (const [id, slot] of slots) {
    if (slot.status !== "held" || !slot.until || slot.until > now) continue;
    slot.status = "available";
    ended.add(id);
  }
  if (ended.size) repaint(ended);
}

// As the browser would write it, without what differs in every answer.
function normal(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  template.content.firstElementChild?.removeAttribute("data-now");
  return template.innerHTML.trim();
}

let last = normal(box.innerHTML); // the server's, not what messages made of it
let meanwhile = null; // messages that came while an answer was on its way: it may be older than they are

async function fetchTimes() {
  meanwhile = [];
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok) return;
  const html = await answer.text();
  const fresh = normal(html);
  if (fresh !== last || box.querySelector(".just-changed")) swap(html);
  last = fresh;
}

function swap(html) {
  const focused = document.activeElement?.id;
  box.innerHTML = html;
  learn();
  meanwhile.forEach(apply);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

learn();
const refetch = keepFresh(form.dataset.sockets.split(" ").filter(Boolean), {
  onMessage: (message) => { meanwhile?.push(message); apply(message); },
  onState: (isLive) => {
    status.dataset.state = isLive ? "live" : "poll";
    status.textContent = isLive ? status.dataset.liveText : status.dataset.pollText;
  },
  refetch: fetchTimes,
});
setInterval(lapse, 1000);
