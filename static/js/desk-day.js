// What is known of the days shown: slots and bookings as the dataset and the live messages tell them.
import { serverTime, shift } from "./desk-clock.js";

const DAY = 24 * 60;

export class Day {
  clinics = []; // {slug, name, zone, people: [{id, name, specialty}], stations: [{id, name}]}
  slots = new Map(); // id -> {clinic, date, practitioner, station, start, end, status, version, until}
  bookings = new Map(); // reference -> {clinic, date, practitioner, station, start, end, status, version, patient, …}
  known = new Set(); // references seen before, so that what is new can be marked

  // A dataset may be older than a message that came while it was fetched: a slot never goes back.
  adopt(dataset, { isOther = false } = {}) {
    serverTime.set(dataset.now);
    const before = isOther ? new Map() : this.slots;
    const slots = new Map();
    const bookings = new Map();
    this.clinics = dataset.clinics.map((clinic) => {
      for (const slot of slotsOf(clinic, dataset.from)) {
        const old = before.get(slot.id);
        slots.set(slot.id, old && old.version > slot.version ? old : slot);
      }
      for (const booking of bookingsOf(clinic, dataset.from)) bookings.set(booking.ref, booking);
      return { slug: clinic.slug, name: clinic.name, zone: clinic.zone, people: peopleOf(clinic), stations: clinic.stations };
    });
    this.known = new Set(isOther ? bookings.keys() : this.bookings.keys());
    this.slots = slots;
    this.bookings = bookings;
    this.lapse();
  }

  // True when only the server knows the rest: a booking came, went or changed, or a slot is new.
  apply({ slots, now }) {
    if (now) serverTime.set(now);
    let ask = false;
    for (const [id, version, status, until] of slots) {
      const slot = this.slots.get(id);
      if (!slot) ask = true;
      else if (version > slot.version) {
        if (status === "booked" || slot.status === "booked") ask = true;
        Object.assign(slot, { version, status, until });
      }
    }
    return ask;
  }

  // Holds end by themselves, by the server's clock. True when one did.
  lapse() {
    const now = serverTime.now();
    let changed = false;
    for (const slot of this.slots.values()) {
      if (slot.status !== "held" || !slot.until || slot.until > now) continue;
      slot.status = "available";
      changed = true;
    }
    return changed;
  }

  clinic(slug) {
    return this.clinics.find((clinic) => clinic.slug === slug);
  }

  forget() {
    this.clinics = [];
    this.slots.clear();
    this.bookings.clear();
  }
}

function* slotsOf({ slug, columns }, from) {
  for (const { id: practitioner, slots } of columns) {
    for (let n = 0; n < slots.id.length; n++) {
      yield {
        id: slots.id[n], clinic: slug, practitioner, station: slots.station[n], ...when(from, slots.start[n], slots.end[n]),
        status: slots.status[n], version: slots.version[n], until: slots.held_until[n],
      };
    }
  }
}

function* bookingsOf({ slug, bookings }, from) {
  for (const booking of bookings) yield { ...booking, clinic: slug, ...when(from, booking.start, booking.end) };
}

// Minutes from the first midnight -> the day and its own minutes. In the night when clocks go back an end may seem early.
function when(from, start, end) {
  const days = Math.floor(start / DAY);
  return {
    date: days ? shift(from, days) : from,
    start: start - days * DAY,
    end: Math.min(DAY, Math.max(end - days * DAY, start - days * DAY + 5)),
  };
}

// Who has hours, and who has a visit without: one added outside, or whose hours went.
function peopleOf({ columns, bookings }) {
  const people = new Map(columns.map(({ id, name, specialty }) => [id, { id, name, specialty }]));
  for (const { practitioner: id, practitioner_name: name } of bookings) {
    if (!people.has(id)) people.set(id, { id, name, specialty: "" });
  }
  return [...people.values()];
}
