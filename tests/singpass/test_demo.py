"""The stand-in for Singpass in `make demo`."""

import json
import socket
from contextlib import closing

import pytest

from clinic_booking.local import demo, singpass


def test_it_keeps_its_port(tmp_path):
    note = tmp_path / "port"
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        busy = other.getsockname()[1]
        note.write_text(str(busy))
        assert demo.same_port(note) != busy
        assert note.read_text() != str(busy)


@pytest.mark.parametrize("environment", [{}, {"SINGPASS_CLIENT_ID": "of the portal"}])
def test_demo_goes_on_without_it(monkeypatch, environment):
    monkeypatch.setattr(singpass, "node", lambda: None)
    children = []
    before = dict(environment)

    assert demo.start_singpass(environment, children) is None
    assert (environment, children) == (before, [])


def test_our_keys_stay_and_theirs_are_public(tmp_path):
    note = tmp_path / "keys.json"
    ours = singpass.our_settings(9100, "http://127.0.0.1:8000", note)
    assert singpass.our_settings(9100, "http://127.0.0.1:8000", note) == ours
    assert note.stat().st_mode & 0o077 == 0

    told = json.loads(singpass.demo_server(9100, ours)["SINGPASS_COUNTERPART"])
    assert not told["control"]
    assert all("d" not in key for issuer in told["issuers"] for key in issuer["jwks"]["keys"])
