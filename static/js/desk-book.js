// New booking: an empty time is clicked, or `n`, `f` or the button is pressed; a few letters, Enter, Enter.
import { onKey, refetch, root, toast } from "./desk.js";
import { enhance, rememberedService } from "./desk-book-form.js";

const dialog = document.getElementById("book");

if (dialog) {
  const body = dialog.querySelector("[data-book-body]");
  let leave = () => {};
  let clinic = root.dataset.clinic;
  let before = null;

  const url = (query) => `${dialog.dataset.url.replace(`/${root.dataset.clinic}/`, `/${clinic}/`)}?${query}`;

  async function open(where, query) {
    clinic = where;
    const asked = url(new URLSearchParams({ service: rememberedService(), ...query }));
    const answer = await fetch(asked, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return toast(dialog.dataset.failed, { isError: true });
    before = document.activeElement;
    show(await answer.text());
    if (!dialog.open) dialog.showModal();
    const focused = query.focus === "times" && body.querySelector("[name=slot]:checked");
    (focused || body.querySelector("[data-q]")).focus();
  }

  function show(html) {
    leave();
    body.innerHTML = html;
    const form = body.querySelector("[data-book-form]");
    leave = enhance(form, { onDone: done, onAgain: again });
    body.querySelector("[data-next]")?.addEventListener("click", (event) => {
      event.preventDefault();
      open(clinic, { times: "next", focus: "times" });
    });
  }

  function again(html) {
    show(html);
    (body.querySelector("[data-use]") ?? body.querySelector(".is-invalid") ?? body.querySelector("[data-focus]") ?? body.querySelector("[data-q]")).focus();
  }

  function done({ sentence, trouble, url: address }) {
    dialog.close();
    refetch();
    toast(sentence, { label: dialog.dataset.show, action: () => location.assign(address) });
    if (trouble) toast(trouble, { isError: true, seconds: 30 });
  }

  dialog.addEventListener("close", () => {
    leave();
    leave = () => {};
    body.replaceChildren();
    (before?.isConnected && before !== document.body ? before : document.querySelector("[data-new-booking]"))?.focus();
  });

  root.addEventListener("desk:pick", ({ detail }) => {
    if (detail?.slot && detail.status === "available") open(detail.clinic, { slot: detail.slot });
  });
  document.querySelector("[data-new-booking]")?.addEventListener("click", (event) => {
    event.preventDefault();
    open(root.dataset.clinic, { times: "next" });
  });
  onKey("n", () => open(root.dataset.clinic, { times: "next" }));
  onKey("f", () => open(root.dataset.clinic, { times: "next", focus: "times" }));
  addEventListener("desk:lost", () => dialog.close());
}
