// Single keys that act on the whole desk: never inside fields, menus or dialogs, and they can be switched off
// (WCAG 2.1.4). The list of keys is the dialog #keys.
const STORE = "desk-keys-off";
const actions = new Map();
const help = document.getElementById("keys");
const toggle = help?.querySelector("[data-keys-on]");

export const onKey = (key, run) => actions.set(key, run);

export function isTyping(target) {
  return Boolean(target.closest?.("input, textarea, select, [contenteditable], dialog[open], .dropdown-menu.show"));
}

function areOff() {
  try { return localStorage.getItem(STORE) === "yes"; } catch { return false; }
}

function press(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const key = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
  const run = actions.get(key.length === 1 ? key.toLowerCase() : key);
  if (!run || (key.length === 1 && key !== "?" && areOff())) return;
  event.preventDefault();
  run(event);
}

const openHelp = () => help?.showModal();

addEventListener("keydown", press);
onKey("?", openHelp);
document.querySelector("[data-keys]")?.addEventListener("click", openHelp);
help?.addEventListener("click", (event) => { if (event.target === help) help.close(); });
if (toggle) {
  toggle.checked = !areOff();
  toggle.addEventListener("change", () => {
    try { localStorage.setItem(STORE, toggle.checked ? "no" : "yes"); } catch { /* private mode */ }
  });
}
