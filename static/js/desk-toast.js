// A line at the foot of the page, read out, with at most one act. It goes by itself, but not under mouse or focus.
const SECONDS = 10;

export function toast(words, { action = null, label = "", seconds = SECONDS, isError = false } = {}) {
  const region = document.getElementById("toasts");
  const node = document.createElement("div");
  node.className = isError ? "desk-toast desk-toast-bad" : "desk-toast";
  const line = document.createElement("span");
  line.textContent = words;
  node.append(line);
  let timer = null;
  const close = () => { clearTimeout(timer); node.remove(); };
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm btn-light";
    button.textContent = label;
    button.addEventListener("click", () => { close(); action(); });
    node.append(button);
  }
  const wait = () => { clearTimeout(timer); timer = setTimeout(close, seconds * 1000); };
  const stay = () => clearTimeout(timer);
  for (const name of ["pointerenter", "focusin"]) node.addEventListener(name, stay);
  for (const name of ["pointerleave", "focusout"]) node.addEventListener(name, wait);
  region.append(node);
  wait();
  return close;
}
