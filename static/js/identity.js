// A number that is shown whole is masked again after its seconds, and when the page is left or hidden in the history.
function mask() {
  for (const whole of document.querySelectorAll("[data-whole]")) {
    whole.textContent = whole.dataset.masked;
    delete whole.dataset.whole;
  }
}

addEventListener("pagehide", mask);
document.addEventListener("htmx:afterSwap", ({ target }) => {
  const whole = target.querySelector("[data-whole]");
  if (whole) setTimeout(mask, whole.dataset.seconds * 1000);
});
