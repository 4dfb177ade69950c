// Runs in <head> before the first paint, hence a classic script without defer.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored() {
  try { return localStorage.getItem("theme"); } catch { return null; }
}

function paint() {
  root.dataset.bsTheme = stored() ?? (dark.matches ? "dark" : "light");
}

paint();
dark.addEventListener("change", paint);
addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-theme-toggle]")) return;
  try { localStorage.setItem("theme", root.dataset.bsTheme === "dark" ? "light" : "dark"); } catch { /* private mode */ }
  paint();
});
