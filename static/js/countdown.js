// The time that is left of a hold: computed from its end and the server's clock, never counted.
const SECONDS = 300;
const checkout = document.querySelector("[data-checkout]");
const spoken = new Map([[120, "twoMinutes"], [60, "oneMinute"], [30, "halfMinute"]]);

let timer = null; // the element; "I need more time" puts a new one in its place
let clockAhead = 0;
let said = SECONDS;
let over = false;

function adopt(element) {
  timer = element;
  clockAhead = Number(element.dataset.now) - Date.now();
  said = SECONDS;
}

function tick() {
  if (over) return;
  const element = document.getElementById("hold-timer");
  if (!element?.dataset.expiresAt) return end();
  if (element !== timer) adopt(element);
  const left = Math.ceil((Number(timer.dataset.expiresAt) - Date.now() - clockAhead) / 1000);
  if (left <= 0) return end();
  timer.querySelector("[data-left]").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  timer.querySelector("[data-bar]").value = left;
  timer.classList.toggle("is-late", left <= 60);
  speak(left);
}

// Screen readers hear three sentences, not every second.
function speak(left) {
  for (const [mark, name] of spoken) {
    if (left <= mark && left > mark - 10 && said > mark) {
      said = mark;
      timer.querySelector("[data-says]").textContent = timer.dataset[name];
    }
  }
}

// A payment under way (the form is busy) is finished first: its answer says what became of the time.
async function end() {
  if (document.getElementById("pay-form")?.getAttribute("aria-busy") === "true") return;
  over = true;
  if (!checkout.dataset.offersUrl) return location.reload();
  const answer = await fetch(checkout.dataset.offersUrl, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok) return location.reload();
  checkout.innerHTML = await answer.text();
  checkout.querySelector("[data-focus]")?.focus();
}

tick();
setInterval(tick, 500);
document.addEventListener("visibilitychange", tick);
// The page may come back from the browser's memory after the booking was made or the time given up.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
