// The payment form: the provider's fields, one submit at a time, the bank's next step. Card data stays in its frame.
const form = document.getElementById("pay-form");
const problem = document.getElementById("payment-error");
const button = document.getElementById("pay-button");
const { payUrl, statusUrl, amount, currency, publishableKey, texts } = form.dataset;
const says = JSON.parse(texts);
const HEADERS = { Accept: "application/json" };
const POLL_MS = 1500;
const POLLS = 40; // a minute; then the waiting page goes on asking

const stripe = window.Stripe?.(publishableKey);
const elements = stripe?.elements({
  mode: "payment",
  amount: Number(amount),
  currency,
  allowedPaymentMethodTypes: ["card", "paynow"],
  appearance: { theme: document.documentElement.dataset.bsTheme === "dark" ? "night" : "stripe" },
});

if (elements) {
  const fields = elements.create("payment");
  fields.on("loaderror", () => say(says.unavailable));
  fields.mount("#payment-element");
} else {
  say(says.unavailable);
  button.disabled = true;
}

function say(text) {
  problem.textContent = text ?? "";
  problem.hidden = !text;
}

function setBusy(busy) {
  form.setAttribute("aria-busy", String(busy));
  button.disabled = busy;
  button.setAttribute("aria-busy", String(busy));
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function ask(url, options = {}) {
  const answer = await fetch(url, { headers: HEADERS, ...options });
  if (answer.status >= 500) throw new Error("busy");
  return answer.json();
}

// Asked again until it answers: the payment may have been made, so the form is never simply sent again.
async function askStatus() {
  for (;;) {
    try {
      return await ask(statusUrl);
    } catch {
      say(says.lost);
      await pause(POLL_MS);
    }
  }
}

async function send(token) {
  const body = new FormData(form);
  body.set("confirmation_token", token);
  try {
    return await ask(payUrl, { method: "POST", body });
  } catch {
    return askStatus();
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.getAttribute("aria-busy") === "true" || !elements) return;
  setBusy(true);
  say("");
  clearFieldErrors();
  const checked = await elements.submit();
  const made = checked.error
    ? checked
    : await stripe.createConfirmationToken({ elements, params: { return_url: new URL(statusUrl, location.href).href } });
  if (made.error) return fail(made.error.message);
  await settle(await send(made.confirmationToken.id));
});

async function settle(answer) {
  for (let polls = 0; ; ) {
    if (answer.status === "processing" && polls < POLLS) {
      polls += 1;
      await pause(POLL_MS);
      answer = await askStatus();
    } else if (answer.status === "requires_action") {
      const { error } = await stripe.handleNextAction({ clientSecret: answer.client_secret });
      answer = await askStatus();
      // Closed without an answer: the patient may try again, or pay in another way.
      if (answer.status === "requires_action") return fail(error?.message ?? says.unfinished);
    } else {
      return conclude(answer);
    }
  }
}

function conclude(answer) {
  if (answer.redirect) location.assign(answer.redirect);
  else if (["expired", "taken", "processing"].includes(answer.status)) location.assign(statusUrl);
  else if (answer.errors) showFieldErrors(answer);
  else fail(answer.message ?? answer.error ?? says.again);
}

function fail(text) {
  say(text);
  setBusy(false);
  problem.scrollIntoView({ block: "nearest" });
}

// -- The details: refused by the server, shown as it shows them itself ----------------------------

function clearFieldErrors() {
  for (const note of form.querySelectorAll("[data-added]")) note.remove();
  for (const field of form.querySelectorAll(".is-invalid")) {
    field.classList.remove("is-invalid");
    field.removeAttribute("aria-invalid");
  }
}

function showFieldErrors(answer) {
  fail(answer.errors.__all__?.[0]);
  for (const [name, messages] of Object.entries(answer.errors)) {
    const field = form.elements.namedItem(name);
    if (!field) continue;
    const note = document.createElement("div");
    note.className = "invalid-feedback d-block";
    note.id = `${field.id}_error`;
    note.dataset.added = "";
    note.textContent = messages.join(" ");
    document.getElementById(note.id)?.remove();
    (field.type === "checkbox" ? field.parentElement : field).insertAdjacentElement(
      field.type === "checkbox" ? "beforeend" : "afterend",
      note,
    );
    field.classList.add("is-invalid");
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", `${note.id} ${field.id}_helptext`);
  }
  form.querySelector(".is-invalid")?.focus();
}

// The browser's memory gives the page back as it was left.
addEventListener("pageshow", () => setBusy(false));
