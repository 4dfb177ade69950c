"use strict";
const query = new URLSearchParams(location.search);
const paynow = document.body.dataset.kind === "paynow";
const intent = `/js/payment_intents/${query.get("ref")}`;
const secret = new URLSearchParams({ key: query.get("key"), client_secret: query.get("client_secret") });
const POLL_MS = 1000;
let finished = false;

function finish(how) {
  finished = true;
  parent.postMessage({ type: "finished", how }, query.get("origin"));
}

async function act(how) {
  for (const button of document.querySelectorAll("button")) button.disabled = true;
  if (how !== "close") await fetch(`${intent}/${how}?${secret}`, { method: "POST" });
  finish(how);
}

/* The code may be paid elsewhere: by a test, or by another tab. */
async function watch() {
  if (finished) return;
  const { paymentIntent } = await (await fetch(`${intent}?${secret}`)).json();
  if (paymentIntent) show(paymentIntent);
  if (paymentIntent && paymentIntent.status !== "requires_action") finish("moved on");
  else setTimeout(watch, POLL_MS);
}

function show({ amount, currency }) {
  const money = new Intl.NumberFormat("en-SG", { style: "currency", currency }).format(amount / 100);
  document.getElementById("amount").textContent = currency === "sgd" ? `S${money}` : money;
}

/* Looks like a QR code and says nothing: three corners, and a pattern from the reference. */
function draw(size = 25) {
  let seed = [...query.get("ref")].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
  const random = () => (seed = (seed * 1664525 + 1013904223) >>> 0) / 2 ** 32;
  const corner = (x, y) => (x < 8 || x > size - 9) && (y < 8 || y > size - 9) && !(x > size - 9 && y > size - 9);
  let path = "";
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) if (random() < 0.5 && !corner(x, y)) path += `M${x} ${y}h1v1h-1z`;
  for (const [x, y] of [[0, 0], [size - 7, 0], [0, size - 7]])
    path += `M${x} ${y}h7v7h-7zM${x + 1} ${y + 1}v5h5v-5zM${x + 2} ${y + 2}h3v3h-3z`;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  const shape = document.createElementNS(svg.namespaceURI, "path");
  shape.setAttribute("d", path);
  shape.setAttribute("fill", "#5b2a86");
  svg.append(shape);
  document.getElementById("code").append(svg);
}

for (const button of document.querySelectorAll("button"))
  button.addEventListener("click", () => act(button.dataset.act));
const leave = () => act(paynow ? "close" : "fail");
addEventListener("keydown", (event) => event.key === "Escape" && leave());
addEventListener("message", ({ source, data }) => source === parent && data.question === "close" && leave());
if (paynow) draw();
document.querySelector("h1").focus();
watch();
document.documentElement.dataset.ready = "true";
