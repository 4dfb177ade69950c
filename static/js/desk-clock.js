// The clinics' time by the server's clock: this computer's may be wrong, or in another country.
const MINUTE = 60_000;
const formats = new Map();

export const serverTime = {
  ahead: 0, // ms
  set(now) { this.ahead = now - Date.now(); },
  now() { return Date.now() + this.ahead; },
};

// The wall clock of a zone: {date: "2026-10-05", minutes: since midnight}.
export function wallClock(zone, at = serverTime.now()) {
  if (!formats.has(zone)) {
    formats.set(zone, new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" }));
  }
  const [date, time] = formats.get(zone).format(at).split(" ");
  const [hours, minutes] = time.split(":").map(Number);
  return { date, minutes: hours * 60 + minutes };
}

export const minutesSince = (at) => Math.max(0, Math.floor((serverTime.now() - at) / MINUTE));

export function clock(minutes) {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

// "2026-10-05" + 1 -> "2026-10-06". Noon in UTC: no zone has a hand in it.
export function shift(date, days) {
  const noon = new Date(`${date}T12:00Z`);
  noon.setUTCDate(noon.getUTCDate() + days);
  return noon.toISOString().slice(0, 10);
}

export function inWords(date, options = { weekday: "long", day: "numeric", month: "long", year: "numeric" }) {
  const parts = new Intl.DateTimeFormat(document.documentElement.lang, { ...options, timeZone: "UTC" });
  return parts.format(new Date(`${date}T12:00Z`));
}
