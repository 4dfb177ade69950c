// From what is known of the days to columns and boxes. Each view is a choice of columns; all else is the same.
import { clock, inWords, minutesSince, shift, wallClock } from "./desk-clock.js";

const LATE_MINUTES = 5;
const VIEWS = {
  day: {
    columns: (day, { practitioner }) => day.clinics.flatMap((clinic) => clinic.people
      .filter(({ id }) => !practitioner || id === practitioner)
      .map(({ id, name, specialty }) => ({ id: `p${id}`, title: name, note: specialty, clinic: clinic.slug, practitioner: id }))),
    columnOf: ({ practitioner }) => `p${practitioner}`,
  },
  stations: {
    columns: (day) => day.clinics.flatMap((clinic) => clinic.stations
      .map(({ id, name }) => ({ id: `s${id}`, title: name, note: whoIsAt(id, day, clinic), clinic: clinic.slug, station: id }))
      .filter(({ note }) => note)),
    columnOf: ({ station }) => `s${station}`,
  },
  week: {
    columns: (day, { practitioner, date, dates }) => dates.map((each) => ({
      id: `d${each}`, title: inWords(each, { weekday: "short", day: "numeric", month: "short" }),
      note: day.clinics[0]?.people.find(({ id }) => id === practitioner)?.name ?? "",
      clinic: day.clinics[0]?.slug, practitioner, date: each, isChosen: each === date,
    })),
    columnOf: ({ date }) => `d${date}`,
  },
  clinics: {
    columns: (day, shown, { clinics, places }) => day.clinics.flatMap((clinic) => clinic.people
      .map(({ id, name }) => ({ id: `c${clinic.slug}-p${id}`, title: name, note: places.split("|")[clinics.split(" ").indexOf(clinic.slug)] ?? clinic.name, clinic: clinic.slug, practitioner: id }))),
    columnOf: ({ clinic, practitioner }) => `c${clinic}-p${practitioner}`,
  },
};
export const VIEW_NAMES = Object.keys(VIEWS);

// The days of a view, Monday to Sunday where it is a week.
export function datesOf({ view, date }) {
  if (view !== "week") return [date];
  const monday = shift(date, -((new Date(`${date}T12:00Z`).getUTCDay() + 6) % 7));
  return Array.from({ length: 7 }, (_, n) => shift(monday, n));
}

function whoIsAt(station, day, { people }) {
  const ids = new Set();
  for (const each of [...day.slots.values(), ...day.bookings.values()]) if (each.station === station) ids.add(each.practitioner);
  return people.filter(({ id }) => ids.has(id)).map(({ name }) => name).join(", ");
}

// {columns, events, from, to, step}: all that the calendar is to show.
export function board(day, shown, words) {
  const view = VIEWS[shown.view];
  const dates = datesOf(shown);
  const columns = view.columns(day, { ...shown, dates }, words).map((column) => ({ practitioner: null, station: null, date: shown.date, ...column }));
  const parts = new Map(columns.map(({ id }) => [id, { slots: [], bookings: [] }]));
  for (const slot of day.slots.values()) parts.get(view.columnOf(slot))?.slots.push(slot);
  for (const booking of day.bookings.values()) parts.get(view.columnOf(booking))?.bookings.push(booking);
  const span = spanOf(parts, words);
  const painter = new Painter({ day, shown, words, span });
  return { columns, ...span, events: columns.flatMap((column) => painter.column(column, parts.get(column.id))) };
}

function spanOf(parts, { opens, closes }) {
  let [from, to, step] = [Infinity, -Infinity, 30];
  for (const { slots, bookings } of parts.values()) {
    for (const { start, end } of slots) step = Math.min(step, end - start);
    for (const { start, end } of [...slots, ...bookings]) [from, to] = [Math.min(from, start), Math.max(to, end)];
  }
  if (from > to) [from, to] = [opens, closes].map((time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3)));
  return { from: Math.floor(from / 60) * 60, to: Math.ceil(to / 60) * 60, step: Math.max(10, step) };
}

class Painter {
  constructor(context) {
    Object.assign(this, context);
    this.nominal = context.shown.date;
    this.clocks = new Map(context.day.clinics.map(({ slug, zone }) => [slug, wallClock(zone)]));
  }

  column(column, { slots, bookings }) {
    slots.sort((a, b) => a.start - b.start);
    const claimed = bookings.filter(({ overbooked }) => !overbooked).sort((a, b) => a.start - b.start);
    return [
      ...bookings.map((booking) => this.visit(column, booking)),
      ...this.claims(column, slots, claimed),
      ...this.gaps(column, slots),
      ...this.now(column),
    ];
  }

  visit(column, booking) {
    const status = this.state(booking);
    const words = [clock(booking.start), this.stateWords(status, booking), booking.service_name];
    return this.event(`b${booking.ref}`, column, booking, {
      kind: "visit", status, reference: booking.ref, version: booking.version, service: booking.service,
      state: words[1] || (booking.confirmed ? this.words.confirmed : this.words.booked), first: booking.patient, second: words.filter(Boolean).join(" · "),
      isMovable: booking.status === "booked", isOverbooked: booking.overbooked,
      isConfirmed: status === "booked" && booking.confirmed,
      isFresh: !this.day.known.has(booking.ref), isDimmed: !this.matches(booking, status),
    });
  }

  state({ status, called, started, clinic, date, start }) {
    if (status === "arrived") return started ? "started" : called ? "called" : "arrived";
    const now = this.clocks.get(clinic);
    return status === "booked" && now?.date === date && now.minutes >= start + LATE_MINUTES ? "late" : status;
  }

  stateWords(status, { arrived, overbooked, clinic, start }) {
    const word = status === "booked" ? "" : this.words[status];
    const minutes = status === "arrived" && arrived ? minutesSince(arrived)
      : status === "late" ? this.clocks.get(clinic).minutes - start : 0;
    const text = minutes ? `${word} ${this.words.minutes.replace("0", minutes)}` : word;
    return overbooked ? [this.words.overbooked, text].filter(Boolean).join(" · ") : text;
  }

  matches({ practitioner, service, patient, overbooked }, state) {
    const { shown } = this;
    return (!shown.service || shown.service === service)
      && (!shown.practitioner || shown.view === "week" || shown.practitioner === practitioner)
      && (!shown.status || shown.status === state || (shown.status === "overbooked" && overbooked) || (shown.status === "booked" && state === "late"))
      && (!shown.who || patient.toLowerCase().includes(shown.who.toLowerCase()));
  }

  // Holds, blocked times, and claims whose details are on their way. Both lists are in order of time.
  claims(column, slots, bookings) {
    const events = [];
    let next = 0;
    for (const block of join(slots)) {
      if (block.status === "available") continue;
      if (block.status === "booked") {
        while (next < bookings.length && bookings[next].end <= block.start) next++;
        if (next < bookings.length && bookings[next].start < block.end) continue;
        const last = bookings[next - 1]; // its time after the visit, for cleaning or notes
        if (last && block.start < last.end + last.buffer) block.status = "buffer";
      }
      events.push(this.event(`s${column.id}-${block.start}`, column, block, {
        kind: "claim", status: block.status, first: this.words[block.status], second: `${clock(block.start)}–${clock(block.end)}`,
      }));
    }
    return events;
  }

  // The times without supply.
  gaps(column, slots) {
    const events = [];
    let end = this.span.from;
    for (const slot of [...slots, { start: this.span.to, end: this.span.to }]) {
      if (slot.start > end) events.push(this.event(`g${column.id}-${end}`, column, { start: end, end: slot.start }, { kind: "gap", status: "off" }));
      end = Math.max(end, slot.end);
    }
    return events;
  }

  // A line at the clinic's time, not at this computer's.
  now(column) {
    const { date, minutes } = this.clocks.get(column.clinic) ?? {};
    if (date !== column.date || minutes < this.span.from || minutes >= this.span.to) return [];
    return [this.event(`n${column.id}`, column, { start: minutes, end: minutes + 1 }, { kind: "now", status: "now" })];
  }

  event(id, column, { start, end, practitioner, station }, extendedProps) {
    const at = (minutes) => `${this.nominal}T${clock(minutes)}`;
    const isBackground = extendedProps.kind === "gap" || extendedProps.kind === "now";
    return {
      id, resourceIds: [column.id], start: at(start), end: at(end), title: extendedProps.first ?? "",
      display: isBackground ? "background" : "auto", editable: Boolean(extendedProps.isMovable && this.words.mayAct),
      extendedProps: {
        clinic: column.clinic, date: column.date, practitioner: practitioner ?? column.practitioner,
        station: station ?? column.station, reference: null, version: null, isMovable: false, ...extendedProps,
      },
    };
  }
}

// Neighbours with the same claim become one block; booked slots stay apart, each may be another visit.
function join(slots) {
  const blocks = [];
  for (const slot of slots) {
    const last = blocks.at(-1);
    const isSame = last && last.status === slot.status && last.until === slot.until && last.end === slot.start;
    if (isSame && slot.status !== "booked") last.end = slot.end;
    else blocks.push({ ...slot });
  }
  return blocks;
}
