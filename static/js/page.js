// On every page: one submit for each form, and the mark that scripts are running (tests wait for it).
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog") return; // closes it, as often as it is opened
  if (form.dataset.sent) return event.preventDefault();
  if (event.defaultPrevented) return;
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's memory may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

// Where the tabs do not fit, the one that is open is in sight.
const tabs = document.querySelector(".desk-clinics");
const tab = tabs?.querySelector("[aria-current]");
if (tab) tabs.scrollLeft = tab.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;

document.querySelector("[data-focus]")?.focus();
document.documentElement.dataset.ready = "yes";
