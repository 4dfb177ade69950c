"use strict";
const query = new URLSearchParams(location.search);
document.documentElement.dataset.theme = query.get("theme");
const form = document.querySelector("form");
const field = (name) => document.getElementById(name);
const digits = (name) => field(name).value.replace(/\D/g, "");
const NAMES = ["number", "expiry", "cvc"];
const MESSAGES = {
  number: ["Enter your card number.", "The card number is not complete or not right."],
  expiry: ["Enter the expiration date.", "The date is not complete, or it is in the past."],
  cvc: ["Enter the security code.", "The security code is not complete."],
};

function tell(message) {
  parent.postMessage(message, query.get("origin"));
}

function way() {
  return new FormData(form).get("way");
}

function luhn(number) {
  const sum = [...number].reverse().reduce((total, digit, place) => {
    const value = Number(digit) * (place % 2 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return number.length >= 13 && sum % 10 === 0;
}

function inFuture(expiry) {
  const month = Number(expiry.slice(0, 2));
  const end = new Date(2000 + Number(expiry.slice(2)), month, 1);
  return expiry.length === 4 && month >= 1 && month <= 12 && end > new Date();
}

function valid(name) {
  const value = digits(name);
  if (name === "number") return luhn(value);
  return name === "expiry" ? inFuture(value) : value.length >= 3;
}

function mark(name) {
  const wrong = !valid(name);
  const text = field(`${name}-error`);
  field(name).setAttribute("aria-invalid", String(wrong));
  text.hidden = !wrong;
  text.textContent = wrong ? MESSAGES[name][digits(name) ? 1 : 0] : "";
  return !wrong;
}

function complete() {
  return way() === "paynow" || NAMES.every(valid);
}

function changed() {
  field("card").hidden = way() !== "card";
  field("paynow").hidden = way() !== "paynow";
  const empty = way() === "card" && NAMES.every((name) => !digits(name));
  tell({ type: "change", detail: { complete: complete(), empty, collapsed: false, value: { type: way() } } });
}

function grouped(name) {
  const value = digits(name);
  if (name === "number") field(name).value = value.slice(0, 19).replace(/(.{4})(?=.)/g, "$1 ");
  else if (name === "cvc") field(name).value = value.slice(0, 4);
  else {
    const expiry = /^[2-9]/.test(value) ? `0${value}` : value;
    field(name).value = expiry.length > 2 ? `${expiry.slice(0, 2)} / ${expiry.slice(2, 4)}` : expiry;
  }
}

function submit() {
  const wrong = way() === "card" ? NAMES.filter((name) => !mark(name)) : [];
  if (!wrong.length) return { selectedPaymentMethod: way() };
  field(wrong[0]).focus();
  const message = "Check the card details.";
  return { error: { type: "validation_error", code: `incomplete_${wrong[0]}`, message } };
}

/* The one place that sends a card number, and only to this frame's own origin. */
async function token() {
  if (!complete()) return submit();
  const body = { kind: way(), number: way() === "card" ? digits("number") : "" };
  try {
    const answer = await fetch(`/js/confirmation_tokens?${new URLSearchParams({ key: query.get("key") })}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return await answer.json();
  } catch {
    return { error: { type: "api_connection_error", message: "The payment service does not answer." } };
  }
}

addEventListener("message", async ({ data, source, origin }) => {
  if (source !== parent || origin !== query.get("origin")) return;
  const answer = data.question === "submit" ? submit() : await token();
  tell({ type: "answer", number: data.number, answer });
});

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", changed);
for (const name of NAMES) {
  field(name).addEventListener("input", () => {
    // While somebody edits in the middle, moving the cursor would be rude.
    if (field(name).selectionStart === field(name).value.length) grouped(name);
    if (field(name).getAttribute("aria-invalid") === "true" && valid(name)) mark(name);
    changed();
  });
  field(name).addEventListener("blur", () => {
    grouped(name);
    if (digits(name)) mark(name);
  });
}

const types = query.get("types").split(",");
for (const label of document.querySelectorAll("[data-way]")) {
  label.hidden = !types.includes(label.dataset.way);
  label.querySelector("input").checked = label.dataset.way === types[0];
}
field("ways").hidden = types.length < 2;
new ResizeObserver(() =>
  tell({ type: "height", height: Math.ceil(document.documentElement.getBoundingClientRect().height) }),
).observe(document.documentElement);
tell({ type: "ready" });
changed();
document.documentElement.dataset.ready = "true";
