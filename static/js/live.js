// One socket that comes back by itself. Pushes are hints: whoever listens fetches afresh after each (re)connection.
const MAX_WAIT = 30_000;

// Returns a function that closes it for good.
export function live(path, { onMessage, onOpen, onClose, maxWait = MAX_WAIT }) {
  let tries = 0, socket, timer, stopped = false;

  function open() {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
    socket.onopen = () => { tries = 0; onOpen(); };
    socket.onmessage = (event) => { if (!stopped) onMessage(JSON.parse(event.data)); };
    socket.onclose = (event) => {
      if (stopped) return;
      onClose(event.code);
      const wait = Math.min(maxWait, 500 * 2 ** tries++);
      timer = setTimeout(open, wait / 2 + (Math.random() * wait) / 2);
    };
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
    if (socket.readyState !== WebSocket.CONNECTING) return socket.close();
    socket.onopen = () => socket.close(); // closed sooner, the browser would complain
  }

  // The network is back: no need to wait for the next try.
  function hurry() {
    if (stopped || socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(timer);
    open();
  }

  const again = (event) => { if (event.persisted) { stopped = false; open(); } };
  addEventListener("pagehide", stop);
  addEventListener("pageshow", again);
  addEventListener("online", hurry);
  open();
  return () => {
    stop();
    removeEventListener("pagehide", stop);
    removeEventListener("pageshow", again);
    removeEventListener("online", hurry);
  };
}

// Several sockets, one state: `onState(true)` while all are open. Fetches on connect, on return to the tab or to the
// network, and every `pollSeconds` while a socket is down. Returns the function that asks for a fetch; its
// `follow(paths)` changes the sockets.
export function keepFresh(paths, { onMessage, onState, refetch, pollSeconds = 20, maxWait }) {
  const up = new Set();
  const closers = new Map();
  const soon = debounce(refetch, 150);
  const show = () => onState(closers.size > 0 && up.size === closers.size);

  function listen(path) {
    closers.set(path, live(path, {
      maxWait,
      onMessage: (message) => message.refetch ? setTimeout(soon, Math.random() * 1000) : onMessage(message),
      onOpen: () => { up.add(path); show(); soon(); },
      onClose: (code) => { up.delete(path); show(); if (code >= 4400) soon(); }, // refused: the fetch says why
    }));
  }

  soon.follow = (wanted) => {
    for (const [path, close] of closers) {
      if (wanted.includes(path)) continue;
      close();
      closers.delete(path);
      up.delete(path);
    }
    for (const path of wanted) if (!closers.has(path)) listen(path);
    show();
  };

  soon.follow(paths);
  setInterval(() => { if (up.size < closers.size && !document.hidden) soon(); }, pollSeconds * 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  addEventListener("pageshow", (event) => { if (event.persisted) soon(); });
  addEventListener("online", soon);
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
