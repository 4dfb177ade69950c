// The same form on a page of its own.
import { enhance } from "./desk-book-form.js";

const box = document.querySelector(".book-page");

function start() {
  const form = box.querySelector("[data-book-form]");
  enhance(form, {
    onDone: ({ url }) => location.assign(url),
    onAgain: (html) => { box.innerHTML = html; start(); box.querySelector("[data-use], .is-invalid, [data-focus], [data-q]")?.focus(); },
  });
}
if (box?.querySelector("[data-book-form]")) start();
