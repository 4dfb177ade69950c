// In the details of a visit each act has a key; the answer takes their place and keeps the focus there.
const areOff = () => { try { return localStorage.getItem("desk-keys-off") === "yes"; } catch { return false; } };

export function pressAct(details, key) {
  const button = details?.querySelector(`[data-act-key="${CSS.escape(key)}"]`);
  button?.click();
  return Boolean(button);
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat || areOff()) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const open = document.querySelector("dialog[open] .details") ?? document.querySelector("main > div .details[data-alone]");
  if (open && pressAct(open, event.key.toLowerCase())) event.preventDefault();
});

addEventListener("htmx:afterSwap", () => {
  const details = document.querySelector(".details[data-acted]");
  if (!details) return;
  details.removeAttribute("data-acted");
  (details.querySelector("[role=alert]") ? details.querySelector("h2") : details.querySelector("[data-act-key]") ?? details.querySelector("h2"))?.focus();
});
