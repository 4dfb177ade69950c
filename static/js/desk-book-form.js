// The form "New booking", in its dialog or on its page: live results, the time held meanwhile, what depends on what.
import { fragment, patientField } from "./desk-patient.js";

const SERVICE = "desk-service";

export function rememberedService() {
  try { return localStorage.getItem(SERVICE) ?? ""; } catch { return ""; }
}

// Calls `onDone({sentence, trouble, reference, url})` when it is booked, `onAgain(html)` with a form to be corrected.
// Returns a function that gives the held time back.
export function enhance(form, { onDone, onAgain }) {
  const at = (selector) => form.querySelector(selector);
  const service = at("[name=service]"), status = at("[data-hold-status]"), id = at("[data-patient-id]");
  const slot = () => at("[name=slot]:checked, [type=hidden][name=slot]")?.value ?? "";
  const query = (more) => new URLSearchParams({ service: service.value, slot: slot(), patient: id.value, ...more });
  let held = null, renewing = null, isOver = false, sending = false;

  patientField(form, () => ways());

  // -- What and when -------------------------------------------------------------------------------

  async function part(name, box) {
    const html = await fragment(`${form.dataset.parts}?${query({ part: name })}`).catch(() => null);
    if (html !== null) box.innerHTML = html;
  }

  // Who is quick has chosen how to pay before the ways of this patient are here: the choice stays.
  let way = null;

  async function ways() {
    await part("ways", at("[data-ways]"));
    const same = way && at(`[name=pay][value="${CSS.escape(way)}"]`);
    if (same) same.checked = true;
    showWay();
  }

  function showWay() {
    const chosen = at("[name=pay]:checked")?.value;
    for (const box of form.querySelectorAll("[data-way]")) box.hidden = box.dataset.way !== chosen;
  }

  form.addEventListener("change", async (event) => {
    const { name } = event.target;
    if (name === "pay") { way = event.target.value; showWay(); }
    if (name === "service") {
      try { localStorage.setItem(SERVICE, service.value); } catch { /* private mode */ }
      if (at("[data-times]")) await part("times", at("[data-times]"));
    }
    if (name === "service" || name === "slot") { keep(); ways(); }
  });

  form.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    if (digit && service.options[digit - 1]) {
      event.preventDefault();
      service.selectedIndex = digit - 1;
      service.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (event.code === "KeyF" && at("[data-next]")) {
      event.preventDefault();
      at("[data-next]").click();
    }
  });

  // -- The time is kept ----------------------------------------------------------------------------

  const send = (url, more = {}) => {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", at("[name=csrfmiddlewaretoken]").value);
    for (const [name, value] of Object.entries(more)) body.set(name, value);
    return fetch(url, { method: "POST", body, keepalive: true, headers: { Accept: "application/json" } });
  };

  let turn = 0;
  async function keep(more = {}) {
    clearTimeout(renewing);
    const mine = ++turn, wanted = { slot: slot(), service: service.selectedOptions[0]?.dataset.id ?? "" };
    if (!wanted.slot || !wanted.service) return say("");
    const answer = await send(form.dataset.hold, { ...wanted, ...more }).catch(() => null);
    const told = await answer?.json().catch(() => null);
    if (mine !== turn || isOver) return void (isOver && told?.hold && !sending && giveBack(told.hold));
    if (!answer?.ok) { held = null; return say(told?.error ?? form.dataset.lost, true); }
    held = told.hold;
    const until = new Date(told.expires_at);
    say(form.dataset.kept.replace("{time}", until.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: form.dataset.zone })));
    renewing = setTimeout(() => keep({ again: "1" }), Math.max(5000, until - Date.now() - 30000));
  }

  function say(words, isLost = false) {
    status.textContent = words;
    status.classList.toggle("is-lost", isLost);
  }

  const giveBack = (hold) => send(form.dataset.release.replace("00000000-0000-0000-0000-000000000000", hold)).catch(() => null);

  function leave() {
    if (isOver) return;
    isOver = true;
    clearTimeout(renewing);
    if (held && !sending) giveBack(held);
  }

  // -- Booking -------------------------------------------------------------------------------------

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    const body = new FormData(form, event.submitter);
    form.setAttribute("aria-busy", "true");
    const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } }).catch(() => null);
    sending = false;
    form.removeAttribute("aria-busy");
    if (!answer || answer.redirected) return say(form.dataset.lost, true);
    if (answer.status === 201) {
      sending = true; // the hold became the booking
      if (event.submitter?.value === "walk_in" && held) giveBack(held);
      leave();
      return onDone(await answer.json());
    }
    isOver = true;
    clearTimeout(renewing);
    onAgain(await answer.text());
  });

  showWay();
  keep();
  addEventListener("pagehide", leave, { once: true });
  return leave;
}
