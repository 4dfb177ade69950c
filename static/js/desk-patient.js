// Who comes: a combobox by the ARIA pattern with live results, and the fields of somebody new.
const TYPING = 120; // ms of quiet before the patients are asked for

export const fragment = async (url, signal, body) => {
  const answer = await fetch(url, { method: body ? "POST" : "GET", body, headers: { "HX-Request": "true" }, signal });
  if (!answer.ok || answer.redirected) throw new Error(answer.status);
  return answer.text();
};

const isIdentity = (text) => /^[STFGM]\d{7}[A-Z]$/i.test(text.replace(/[\s./-]/g, ""));

// `onChange` is called, and waited for, when somebody is chosen or not any more.
export function patientField(form, onChange = () => {}) {
  const at = (selector) => form.querySelector(selector);
  const q = at("[data-q]"), id = at("[data-patient-id]"), list = at("#book-list"), known = at("[data-known]");
  const registering = at("[data-new]");
  let searching = null, timer = null;
  id.disabled = false;

  Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "book-list" })
    .forEach(([name, value]) => q.setAttribute(name, value));
  const options = () => [...list.querySelectorAll("[role=option]")];
  const active = () => list.querySelector("[aria-selected=true]");

  function activate(option) {
    for (const each of options()) each.setAttribute("aria-selected", String(each === option));
    if (option) q.setAttribute("aria-activedescendant", option.id);
    else q.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }

  function close() {
    searching?.abort();
    clearTimeout(timer);
    list.hidden = true;
    q.setAttribute("aria-expanded", "false");
    q.removeAttribute("aria-activedescendant");
  }

  async function search() {
    searching?.abort();
    searching = new AbortController();
    const asked = q.value.trim();
    // Posted: it may be an identity number, which no address may hold.
    const body = new URLSearchParams({ q: asked, csrfmiddlewaretoken: at("[name=csrfmiddlewaretoken]").value });
    const html = await fragment(form.dataset.patients, searching.signal, body).catch(() => null);
    if (html === null || asked !== q.value.trim()) return;
    list.innerHTML = html;
    at("[data-found]").textContent = list.querySelector("[data-count]").textContent;
    list.hidden = !options().length;
    q.setAttribute("aria-expanded", String(!list.hidden));
    activate(options()[0]);
    if (choosing) choose(active());
  }

  let choosing = false; // Enter came before the results
  q.addEventListener("input", () => {
    if (id.value) forget();
    choosing = false;
    clearTimeout(timer);
    list.hidden = true;
    timer = setTimeout(search, TYPING);
  });

  q.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const all = options(), place = all.indexOf(active());
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return void search();
      const step = event.key === "ArrowDown" ? 1 : -1;
      activate(all[(place + step + all.length) % all.length]);
    } else if (event.key === "Enter" && !id.value) {
      event.preventDefault();
      if (!list.hidden) choose(active());
      else if (q.value.trim()) { choosing = true; clearTimeout(timer); search(); }
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
  q.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the field
  list.addEventListener("click", (event) => choose(event.target.closest("[role=option]")));

  function choose(option) {
    choosing = false;
    if (!option) return;
    close();
    if ("register" in option.dataset) return register();
    pick(option.dataset.patientPk, option.dataset.name, option.innerHTML);
  }

  async function pick(pk, name, html) {
    id.value = pk;
    q.value = name;
    known.innerHTML = html;
    known.hidden = false;
    registering.open = false;
    at("[data-alike]")?.remove();
    await onChange();
    at("[data-submit]").focus();
  }

  function forget() {
    id.value = "";
    known.hidden = true;
    onChange();
  }

  function register() {
    const typed = isIdentity(q.value) ? "" : q.value.trim();
    registering.open = true;
    const isNumber = /^[+\d\s()-]+$/.test(typed);
    const field = at(isNumber ? "[name=phone]" : "[name=name]");
    field.value = typed;
    at(isNumber ? "[name=name]" : "[name=phone]").focus();
  }

  form.addEventListener("click", (event) => {
    const same = event.target.closest("[data-use]");
    if (!same) return;
    event.preventDefault();
    for (const name of ["name", "phone", "email", "birth_date", "masked_id"]) at(`[name=${name}]`).value = "";
    pick(same.dataset.use, same.dataset.name, same.parentElement.querySelector("span").innerHTML);
  });
}
