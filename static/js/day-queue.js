// The queue of the day, live: each message of the clinic's day asks for it again. What was focused stays so.
import { keepFresh } from "./live.js";

const box = document.querySelector("[data-queue]");
const status = document.querySelector("[data-live-status]");
let isAsked = 0;

async function load() {
  const mine = ++isAsked;
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer || mine !== isAsked) return;
  if (answer.redirected || [403, 404].includes(answer.status)) return location.reload(); // logged out, or no longer staff
  if (!answer.ok || box.querySelector(".htmx-request")) return;
  keepingFocus(() => {
    const isOpen = box.querySelector("#q-done")?.open;
    return answer.text().then((text) => {
      box.innerHTML = text;
      if (isOpen) box.querySelector("#q-done").open = true;
      htmx.process(box);
    });
  });
}

async function keepingFocus(change) {
  const id = box.contains(document.activeElement) ? document.activeElement.id : "";
  const section = box.contains(document.activeElement) ? document.activeElement.closest("section")?.getAttribute("aria-labelledby") : "";
  await change();
  refocus(id, section);
  // A page that is open since yesterday begins the new day.
  if (box.querySelector("[data-today]")?.dataset.today !== box.dataset.day) location.reload();
}

function refocus(id, section) {
  if (!id && !section) return;
  (document.getElementById(id) ?? document.getElementById(section))?.focus();
}

// After an act of one's own: to the next act for the same person, or the heading.
let acted = null;
box.addEventListener("htmx:beforeRequest", (event) => {
  isAsked++;
  acted = { person: event.target.closest("[data-person]")?.dataset.person, section: event.target.closest("section")?.getAttribute("aria-labelledby") };
});
box.addEventListener("htmx:afterSwap", () => {
  if (!acted) return;
  const row = box.querySelector(`[data-person="${CSS.escape(acted.person ?? "")}"]`);
  const next = box.querySelector("[role=alert]") ?? row?.querySelector("button") ?? document.getElementById(acted.section) ?? box.querySelector("h2");
  next?.focus();
  acted = null;
});

const refetch = keepFresh([box.dataset.socket], {
  onMessage: () => refetch(),
  onState: (isLive) => {
    status.dataset.state = isLive ? "live" : "poll";
    status.textContent = isLive ? status.dataset.liveText : status.dataset.pollText;
  },
  refetch: load,
});
setInterval(() => { if (!document.hidden) refetch(); }, 60_000); // waits grow shorter, people become late
