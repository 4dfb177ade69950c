// What is shown, and its place in the address: ?view=&date=&practitioner=&service=&status=&who=
import { shift } from "./desk-clock.js";
import { VIEW_NAMES, datesOf } from "./desk-views.js";

const NUMBERS = ["practitioner", "service"];
const TEXTS = ["status", "who"];

export class Shown {
  constructor(today) {
    this.today = today; // a function: the clinic's date
    this.read();
  }

  read() {
    const query = new URLSearchParams(location.search);
    this.view = VIEW_NAMES.includes(query.get("view")) ? query.get("view") : "day";
    this.date = query.get("date") || this.today();
    this.isPinned = query.has("date"); // else the tab shows "today", whenever that was
    for (const name of NUMBERS) this[name] = Number(query.get(name)) || null;
    for (const name of TEXTS) this[name] = query.get(name) ?? "";
  }

  // The address of the same with some changes. Today and what is empty are left out.
  query(changes = {}) {
    const wanted = { ...this, ...changes };
    const query = new URLSearchParams();
    if (wanted.view !== "day") query.set("view", wanted.view);
    if (wanted.date !== this.today()) query.set("date", wanted.date);
    for (const name of [...NUMBERS, ...TEXTS]) if (wanted[name]) query.set(name, wanted[name]);
    return query.size ? `?${query}` : location.pathname;
  }

  write(changes, { isStep = true } = {}) {
    history[isStep ? "pushState" : "replaceState"](null, "", this.query(changes));
    this.read();
  }

  get dates() {
    return datesOf(this);
  }

  step(direction) {
    return shift(this.date, direction * (this.view === "week" ? 7 : 1));
  }
}
