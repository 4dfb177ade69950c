// What is known of the day: slots and bookings as the dataset and the live messages tell them.
const clock = (minutes) => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

export class Day {
  columns = [];
  columnsChanged = false;
  slots = new Map(); // id -> {who, start, end, status, version, until}
  bookings = [];
  known = null; // references of the bookings seen so far
  clockAhead = 0;

  constructor(words) {
    this.words = words;
    this.date = words.day;
  }

  // A dataset may be older than a message that came while it was fetched: a slot never goes back.
  adopt(dataset) {
    const before = this.columns.map((column) => column.id).join();
    this.clockAhead = dataset.now - Date.now();
    this.columns = dataset.columns.map(({ id, name, specialty }) => ({ id, name, specialty }));
    this.columnsChanged = before !== "" && before !== this.columns.map((column) => column.id).join();
    const fresh = new Map();
    for (const { id: who, slots } of dataset.columns) {
      slots.id.forEach((id, n) => {
        const slot = { who, start: slots.start[n], end: slots.end[n], status: slots.status[n], version: slots.version[n], until: slots.held_until[n] };
        const old = this.slots.get(id);
        fresh.set(id, old && old.version > slot.version ? old : slot);
      });
    }
    this.slots = fresh;
    this.bookings = dataset.bookings;
    this.lapse();
  }

  // True when only the server knows the rest: a booking came, went or changed, or a slot is new.
  apply({ slots, now }) {
    if (now) this.clockAhead = now - Date.now();
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

  lapse() {
    const now = Date.now() + this.clockAhead;
    let changed = false;
    for (const slot of this.slots.values()) {
      if (slot.status !== "held" || !slot.until || slot.until > now) continue;
      slot.status = "available";
      changed = true;
    }
    return changed;
  }

  span() {
    const times = [...this.slots.values(), ...this.bookings];
    const from = Math.floor(Math.min(...times.map((time) => time.start)) / 60) * 60;
    const to = Math.ceil(Math.max(...times.map((time) => time.end)) / 60) * 60;
    const step = Math.min(60, ...[...this.slots.values()].map((slot) => slot.end - slot.start));
    const now = new Date(Date.now() + this.clockAhead).toLocaleString("sv", { timeZone: this.words.zone });
    const hour = now.startsWith(this.date) ? Math.max(0, Number(now.slice(11, 13)) - 1) * 60 : from;
    this.bounds = { from, to };
    return { from: clock(from), to: clock(to), step: clock(step), scrollTo: clock(Math.max(from, hour)) };
  }

  events() {
    this.bounds ?? this.span();
    const visits = this.visits();
    return [...visits, ...this.columns.flatMap((column) => this.rest(column.id))];
  }

  visits() {
    const known = this.known ?? new Set(this.bookings.map((booking) => booking.ref));
    const events = this.bookings.map((booking) => this.event(`b${booking.ref}`, booking.practitioner, booking, {
      status: booking.status,
      reference: booking.ref,
      first: booking.patient,
      second: `${clock(booking.start)} · ${booking.status === "booked" ? booking.service : `${this.words[booking.status]} · ${booking.service}`}`,
      isFresh: !known.has(booking.ref),
    }));
    this.known = known;
    return events;
  }

  // Holds, blocked times, bookings whose details are on their way, and the times without supply.
  rest(who) {
    const slots = [...this.slots.values()].filter((slot) => slot.who === who).sort((a, b) => a.start - b.start);
    const events = [];
    let end = this.bounds.from;
    for (const slot of slots) {
      if (slot.start > end) events.push(this.gap(who, end, slot.start));
      end = Math.max(end, slot.end);
    }
    if (end < this.bounds.to) events.push(this.gap(who, end, this.bounds.to));
    for (const block of join(slots)) {
      if (block.status === "available" || (block.status === "booked" && this.isVisit(who, block))) continue;
      events.push(this.event(`s${who}-${block.start}`, who, block, {
        status: block.status, first: this.words[block.status], second: `${clock(block.start)}–${clock(block.end)}`,
      }));
    }
    return events;
  }

  isVisit(who, { start, end }) {
    return this.bookings.some((booking) => booking.practitioner === who && booking.start < end && booking.end > start);
  }

  gap(who, start, end) {
    return this.event(`g${who}-${start}`, who, { start, end }, { status: "off" }, "background");
  }

  event(id, who, { start, end }, extendedProps, display = "auto") {
    const at = (minutes) => `${this.date}T${clock(minutes)}`;
    return { id, resourceIds: [who], start: at(start), end: at(end), display, title: extendedProps.first ?? "", extendedProps };
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
