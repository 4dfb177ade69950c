// Before the server ends a session that nobody uses: a question. The server decides; here is only shown what it says.
// Pages that fetch by themselves do not keep a session: only hands do, and this tells the server of them.
const dialog = document.getElementById("stay");
const CLOCK_MS = 1000;
const shown = dialog.querySelector("[data-stay-left]");
const said = dialog.querySelector("[data-stay-said]");
const WARN_SECONDS = 120;
const TELL_SECONDS = 60; // how often the server is told that somebody is here
const SAY_SECONDS = 30; // how often screen readers hear of it

let ends = Date.now() + Number(dialog.dataset.left) * 1000;
let told = Date.now();
let asking = false;
let lastSaid = 0;

const left = () => Math.ceil((ends - Date.now()) / 1000);

async function ask(method) {
  asking = true;
  const token = dialog.querySelector("[name=csrfmiddlewaretoken]").value;
  const headers = { Accept: "application/json", "X-CSRFToken": token };
  const answer = await fetch(dialog.dataset.url, { method, headers }).catch(() => null);
  if (answer?.ok) ends = Date.now() + (await answer.json()).left * 1000;
  else if (answer?.status === 403) ends = Date.now(); // the token went with the session
  asking = false;
}

async function active() {
  if (dialog.open || asking || Date.now() - told < TELL_SECONDS * 1000) return;
  told = Date.now();
  await ask("POST");
}

async function stay() {
  told = Date.now();
  await ask("POST");
  if (left() <= 0) leave();
}

function leave() {
  location.assign(`${dialog.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function tell(seconds) {
  const minutes = Math.ceil(seconds / 60);
  const text = seconds > 60 ? dialog.dataset.textMinutes.replace("%n", minutes) : dialog.dataset.text.replace("%n", seconds);
  shown.textContent = text;
  if (Date.now() - lastSaid < SAY_SECONDS * 1000) return;
  lastSaid = Date.now();
  said.textContent = text;
}

async function look() {
  if (asking || left() > WARN_SECONDS) return;
  if (!dialog.open || left() <= 0) await ask("GET"); // another tab may have been used meanwhile
  if (left() <= 0) return leave();
  if (left() > WARN_SECONDS) return dialog.open && dialog.close();
  if (!dialog.open) {
    dialog.showModal();
    dialog.querySelector("[data-stay]").focus();
  }
  tell(left());
}

dialog.addEventListener("close", () => left() <= WARN_SECONDS && stay());
for (const kind of ["pointerdown", "keydown", "wheel"]) addEventListener(kind, active, { passive: true, capture: true });
document.addEventListener("visibilitychange", () => document.hidden || look());
setInterval(look, CLOCK_MS);
