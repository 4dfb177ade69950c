// Time is blocked, opened or added by dragging over what is empty, or by `x`; a click on a blocked time opens it again.
import { act, closeDialog, onForm, problem, show, undoable, words } from "./desk-act.js";
import { calendar, columns, load, onKey, place, registerOptions, span, toast } from "./desk.js";

const HOUR = 60;
const two = (number) => String(number).padStart(2, "0");
const clock = (minutes) => `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;

if (words.block) {
  registerOptions({
    selectable: true,
    selectMinDistance: 12,
    selectLongPressDelay: 500,
    select: ({ start, end, resource }) => {
      calendar().unselect();
      const at = place(resource.id, start);
      propose(at, `${at.start.slice(0, 11)}${two(end.getHours())}:${two(end.getMinutes())}`);
    },
    eventClick: ({ event }) => {
      const { status, kind, clinic, practitioner, station } = event.extendedProps;
      if (kind !== "claim" || status !== "blocked") return;
      const at = place(event.resourceIds[0], event.start);
      const until = `${at.start.slice(0, 11)}${two(event.end.getHours())}:${two(event.end.getMinutes())}`;
      show(`${words.unblock}?${query({ clinic, practitioner, station, start: at.start, until })}`);
    },
  });
  onKey("x", () => {
    const box = document.activeElement?.closest?.(".ec-event");
    const event = box && calendar().getEvents().find(({ id }) => box.classList.contains(`ev-${id}`));
    if (event) return propose(place(event.resourceIds[0], event.start), null);
    const column = columns()[0];
    if (column) propose({ ...column, start: `${column.date}T${clock(span().from)}` }, null);
  });
}

function query(fields) {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value));
}

function propose({ clinic, practitioner, station, start, status }, until) {
  const end = until ?? `${start.slice(0, 11)}${clock(Math.min(24 * HOUR - 1, Number(start.slice(11, 13)) * 60 + Number(start.slice(14)) + HOUR))}`;
  const what = status === "off" ? "extra" : "block";
  show(`${words.block}?${query({ clinic, practitioner, station, start, until: end, what })}`);
}

onForm("data-block-dialog", (form) => save(form));
onForm("data-unblock-dialog", (form) => save(form));

async function save(form) {
  const { said } = await act(form.action, new FormData(form));
  if (said.plan) return location.assign(said.plan);
  if (said.error) return problem(said.error);
  closeDialog();
  await load();
  if (said.undo) undoable(said.sentence, () => undo(said.undo));
  else toast(said.sentence);
}

async function undo({ url, slots = [] }) {
  const { said } = await act(url, slots.map((slot) => ["slots", slot]));
  if (said.plan) return location.assign(said.plan);
  toast(said.sentence ?? said.error, { isError: !said.sentence });
  load();
}
