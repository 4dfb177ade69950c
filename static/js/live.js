// One socket that comes back by itself. Pushes are hints: whoever listens fetches afresh after each (re)connection.
const MAX_WAIT = 30_000;

export function live(path, { onMessage, onOpen, onClose }) {
  let tries = 0, socket, timer, stopped = false;

  function open() {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
    socket.onopen = () => { tries = 0; onOpen(); };
    socket.onmessage = (event) => onMessage(JSON.parse(event.data));
    socket.onclose = () => {
      if (stopped) return;
      onClose();
      const wait = Math.min(MAX_WAIT, 500 * 2 ** tries++);
      timer = setTimeout(open, wait / 2 + (Math.random() * wait) / 2);
    };
  }

  addEventListener("pagehide", () => { stopped = true; clearTimeout(timer); socket.close(); });
  addEventListener("pageshow", (event) => { if (event.persisted) { stopped = false; open(); } });
  open();
}

// Several sockets, one state: `onState(true)` while all are open. Fetches on connect, on return to the tab, and
// every `pollSeconds` while a socket is down.
export function keepFresh(paths, { onMessage, onState, refetch, pollSeconds = 20 }) {
  const up = new Set();
  const show = () => onState(paths.length > 0 && up.size === paths.length);
  const soon = debounce(refetch, 150);
  for (const path of paths) {
    live(path, {
      onMessage: (message) => message.refetch ? setTimeout(soon, Math.random() * 1000) : onMessage(message),
      onOpen: () => { up.add(path); show(); soon(); },
      onClose: () => { up.delete(path); show(); },
    });
  }
  setInterval(() => { if (up.size < paths.length && !document.hidden) soon(); }, pollSeconds * 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  addEventListener("pageshow", (event) => { if (event.persisted) soon(); });
  return soon;
}

// Runs once, `wait` ms after the first call; a call while it runs leads to one more run.
export function debounce(run, wait) {
  let timer = null, running = false, again = false;
  return async function ask() {
    if (running) { again = true; return; }
    if (timer) return;
    timer = setTimeout(async () => {
      timer = null; running = true;
      try { await run(); } finally { running = false; if (again) { again = false; ask(); } }
    }, wait);
  };
}
