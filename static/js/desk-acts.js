// The acts on a visit by key: `a` on a visit of the calendar, and the keys of the buttons while its details are open.
import { onKey, open, root } from "./desk.js";
import { pressAct } from "./visit-acts.js";

onKey("a", async (event) => {
  const visit = event.target.closest?.(".ec-event")?.querySelector("[data-booking]");
  if (!visit || !root.contains(visit)) return;
  await open(visit.dataset.booking);
  pressAct(document.querySelector("#details .details"), "a");
});
