// A waiting room's screen: runs for days by itself. The socket's messages hold ids of times and no names; each asks for
// the numbers again, and so does a clock, whatever becomes of the socket.
import { keepFresh } from "./live.js";

const box = document.querySelector("[data-calls]");
const said = document.querySelector("[data-said]");
const clock = document.querySelector("[data-clock]");
const chime = document.querySelector("[data-chime]");
const status = document.querySelector("[data-live-status]");
const EVERY = 10_000, RELOAD_AFTER = 6 * 3600_000;
const begun = Date.now();
let known = new Set(), sound = null;

const key = (row) => `${row.dataset.number}@${row.dataset.called}`;
const rows = () => [...box.querySelectorAll("[data-number]")];

async function load() {
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" }, cache: "no-store" }).catch(() => null);
  if (!answer?.ok) return; // keeps what it shows, and asks again
  box.innerHTML = await answer.text();
  const isNewDay = box.querySelector("[data-today]")?.dataset.today !== box.dataset.day;
  // A new day has another socket, a new release other scripts.
  if (isNewDay || (Date.now() - begun > RELOAD_AFTER && !rows().length)) return location.reload();
  announce(rows().filter((row) => !known.has(key(row))));
}

function announce(fresh) {
  known = new Set(rows().map(key));
  for (const row of fresh) row.classList.add("fresh");
  if (!fresh.length) return;
  said.textContent = fresh.map((row) => said.dataset.pattern
    .replace("0", row.querySelector("b").textContent).replace("1", row.querySelector(".room").textContent)).join(". ");
  if (sound) ring();
}

function ring() {
  [660, 880].forEach((hertz, n) => {
    const tone = sound.createOscillator(), volume = sound.createGain(), at = sound.currentTime + n * 0.35;
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.25, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.6);
    tone.connect(volume).connect(sound.destination);
    tone.start(at);
    tone.stop(at + 0.6);
  });
}

// Browsers allow sound only after a press.
chime.addEventListener("click", () => {
  sound = sound ? null : new AudioContext();
  chime.setAttribute("aria-pressed", String(Boolean(sound)));
  chime.textContent = sound ? chime.dataset.on : chime.dataset.off;
});

function tick() {
  clock.textContent = new Date().toLocaleTimeString(document.documentElement.lang, { timeZone: clock.dataset.zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

known = new Set(rows().map(key));
const refetch = keepFresh([box.dataset.socket], {
  onMessage: () => refetch(),
  onState: (isLive) => { status.textContent = isLive ? "" : status.dataset.pollText; },
  refetch: load,
});
setInterval(refetch, EVERY);
setInterval(tick, 5000);
tick();
document.documentElement.dataset.ready = "yes";
