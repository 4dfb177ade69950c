// An act of the desk is sent until it is answered: its key makes that safe. Texts are those of #desk-acts.
import { toast } from "./desk.js";

const PATIENCE_MS = 30_000;
const NO_ANSWER = [0, 502, 503, 504];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const words = document.getElementById("desk-acts")?.dataset ?? {};
// In the address of an act: the clinic of the page; what is acted on may be at another one.
export const address = (name, reference) => words[name].replace("/0/", `/${reference}/`);

export function key() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID() wants https
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// {status, said}: the answer as JSON. Status 0 where nobody answered for half a minute.
export async function act(url, fields) {
  const until = Date.now() + PATIENCE_MS;
  let close = null;
  for (let tries = 0; ; tries++) {
    const answer = await once(url, fields);
    if (!NO_ANSWER.includes(answer.status) || Date.now() > until) {
      close?.();
      return answer;
    }
    close ??= toast(words.trying, { seconds: PATIENCE_MS / 1000 });
    await pause(Math.min(2000, 250 * 2 ** tries));
  }
}

async function once(url, fields) {
  const headers = { Accept: "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")) };
  const body = fields instanceof FormData ? fields : new URLSearchParams(fields);
  const signal = AbortSignal.timeout(10_000);
  const answer = await fetch(url, { method: "POST", headers, body, signal }).catch(() => null);
  if (!answer) return { status: 0, said: { error: words.lost } };
  if (answer.redirected) location.reload(); // logged out meanwhile
  const said = await answer.json().catch(() => ({ error: words.lost }));
  return { status: answer.status, said };
}

// -- Undoing ---------------------------------------------------------------------------------------

let last = null;

// For ten seconds, by the button and by Ctrl-Z.
export function undoable(sentence, undo, seconds = 10) {
  const mine = { until: Date.now() + seconds * 1000, close: null, run: null };
  mine.run = () => {
    if (last === mine) last = null;
    mine.close();
    undo();
  };
  mine.close = toast(sentence, { action: mine.run, label: words.undo, seconds });
  last = mine;
}

addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
  if (event.target.closest("input, textarea, select") || !last || last.until < Date.now()) return;
  event.preventDefault();
  last.run();
});

// -- The dialog ------------------------------------------------------------------------------------

const dialog = document.getElementById("act");

// A fragment of the server in the dialog; false where it is not to be had.
export async function show(url) {
  const answer = await fetch(url, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (answer?.redirected) return location.reload();
  if (!answer) return toast(words.lost, { isError: true });
  const body = dialog.querySelector("[data-act-body]");
  body.innerHTML = await answer.text();
  htmx.process(body);
  document.getElementById("details")?.close();
  if (!dialog.open) dialog.showModal();
  (body.querySelector("[data-first]") ?? body.querySelector("input:not([type=hidden]), select, button"))?.focus();
}

export function problem(sentence) {
  const node = dialog.querySelector("[data-problem]");
  node.hidden = false;
  node.querySelector("span").textContent = sentence;
}

export const closeDialog = () => dialog.close();
// Forms in the dialog, by the attribute of what they stand in.
export function onForm(name, run) {
  dialog?.addEventListener("submit", (event) => {
    if (!event.target.closest(`[${name}]`) || event.target.method !== "post") return;
    event.preventDefault();
    event.stopPropagation();
    run(event.target, event.submitter);
  });
}
dialog?.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
