"""The stand-in for Stripe over HTTP: the API, the browser's part, webhooks and the command."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stripe

from billing.stripe_double import webhooks
from billing.stripe_double.engine import Engine
from billing.stripe_double.http import DoubleServer, running
from billing.stripe_double.store import API_VERSION

ROOT = Path(__file__).parents[2]
HEADERS = {"Authorization": "Bearer sk_test_local", "Stripe-Version": API_VERSION}


@pytest.fixture
def engine():
    return Engine()


def post(engine, path, body=""):
    return engine.handle("POST", f"/v1/{path}", HEADERS, body)[1]


def new_intent(engine):
    types = "allowed_payment_method_types[0]=card&allowed_payment_method_types[1]=paynow"
    return post(engine, "payment_intents", f"amount=5000&currency=sgd&{types}")["id"]


def waiting_paynow(engine):
    ref, token = new_intent(engine), engine.confirmation_token("paynow")
    assert post(engine, f"payment_intents/{ref}/confirm", f"confirmation_token={token}")["next_action"]
    return ref


def fetch(url, body=None, **headers):
    request = urllib.request.Request(url, body, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


@pytest.fixture
def server(tmp_path):
    with running(state=tmp_path / "state.json") as server:
        yield server


def api(server):
    return stripe.StripeClient(
        "sk_test_local",
        base_addresses={"api": server.url},
        http_client=stripe.RequestsClient(timeout=5),
        max_network_retries=0,
    ).v1


def test_real_client_over_http(server):
    intents = api(server).payment_intents
    intent = intents.create({"amount": 500, "currency": "sgd", "allowed_payment_method_types": ["card"]})
    token = fetch(f"{server.url}/double/confirmation_tokens?outcome=declined", b"")[1]
    with pytest.raises(stripe.CardError) as caught:
        intents.confirm(intent.id, {"confirmation_token": json.loads(token)["id"]})
    assert caught.value.error.decline_code == "generic_decline"


def test_card_number_is_forgotten(server, tmp_path):
    number = "4000002760003184"
    body = json.dumps({"kind": "card", "number": number}).encode()
    _, answer, _ = fetch(f"{server.url}/js/confirmation_tokens?key=pk_test_local", body)
    token = json.loads(answer)["confirmationToken"]["id"]
    assert server.engine.store.tokens[token]["outcome"] == "three_d_secure"
    assert number not in (tmp_path / "state.json").read_text()
    assert number not in repr(vars(server.engine.store))


def test_live_publishable_key_is_refused(server):
    assert fetch(f"{server.url}/js/confirmation_tokens?key=pk_live_x", b"{}")[0] == 401


def test_client_secret_guards_an_intent(server):
    ref = waiting_paynow(server.engine)
    address = f"{server.url}/js/payment_intents/{ref}"
    assert fetch(f"{address}?key=pk_test_x&client_secret=wrong")[0] == 401
    assert fetch(f"{address}/scan?key=pk_test_x", b"")[0] == 401
    secret = server.engine.intent(ref)["client_secret"]
    status, body, headers = fetch(f"{address}?key=pk_test_x&client_secret={secret}")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "metadata" not in json.loads(body)["paymentIntent"]


def test_levers(server):
    ref = waiting_paynow(server.engine)
    assert json.loads(fetch(f"{server.url}/double/scan/{ref}", b"")[1])["status"] == "succeeded"
    assert ref in json.loads(fetch(f"{server.url}/double/state")[1])["intents"]
    assert fetch(f"{server.url}/double/scan/{ref}", b"")[0] == 400
    assert fetch(f"{server.url}/double/nonsense/{ref}", b"")[0] == 400
    assert fetch(f"{server.url}/double/scan/{ref}", b"", Origin="http://evil.example")[0] == 403


def test_another_host_name_is_refused(server):
    assert fetch(f"{server.url}/double/state", Host="evil.example")[0] == 403


def test_too_large_a_body(server):
    assert fetch(f"{server.url}/v1/refunds", b"x" * 70_000)[0] == 413


@pytest.mark.parametrize("path", ["element", "challenge", "paynow"])
def test_frames_have_a_strict_policy(server, path):
    status, body, headers = fetch(f"{server.url}/{path}")
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"style=" not in body
    assert b"<script>" not in body


def test_script_is_served(server):
    status, body, headers = fetch(f"{server.url}/endive/stripe.js")
    assert (status, headers["Content-Type"]) == (200, "text/javascript")
    assert b'setAttribute("style"' not in body


def test_production_is_refused(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(RuntimeError, match="production"):
        DoubleServer()


# -- Webhooks ------------------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    def __init__(self):
        self.seen, self.refusals = [], 0
        super().__init__(("127.0.0.1", 0), ReceiverHandler)


class ReceiverHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((body, self.headers["Stripe-Signature"]))
        self.server.refusals -= 1
        self.send_response(500 if self.server.refusals >= 0 else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setattr(webhooks, "TRIES_AFTER_SECONDS", (0, 0.01, 0.01))
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def sender(engine, receiver):
    sender = webhooks.Sender(engine, f"http://127.0.0.1:{receiver.server_port}/hook", "whsec_a")
    yield sender
    sender.close()


def wait_until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_events_arrive_signed(engine, receiver, sender):
    new_intent(engine)
    wait_until(lambda: not engine.undelivered())
    body, signature = receiver.seen[0]
    assert stripe.Webhook.construct_event(body, signature, "whsec_a").type == "payment_intent.created"


def test_refused_delivery_is_tried_again(engine, receiver, sender):
    receiver.refusals = 2
    new_intent(engine)
    wait_until(lambda: not engine.undelivered())
    assert len(receiver.seen) == 3


def test_delivery_that_never_works_stays_listed(engine, receiver, sender):
    receiver.refusals = 3
    new_intent(engine)
    wait_until(lambda: len(receiver.seen) == 3)
    assert len(engine.undelivered()) == 1
    assert sender.redeliver() == 1
    wait_until(lambda: not engine.undelivered())


def test_duplicates_and_silence_on_request(engine, receiver, sender):
    sender.copies = 2
    new_intent(engine)
    wait_until(lambda: len(receiver.seen) == 2)
    sender.paused = True
    new_intent(engine)
    assert len(engine.undelivered()) >= 1
    assert len(receiver.seen) == 2


# -- The command ---------------------------------------------------------------------------------


def command(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "manage.py", "stripe_double", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_command_prints_its_address_and_ends_on_term(tmp_path):
    with command("--port", "0", "--state", str(tmp_path / "state.json")) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
            assert fetch(f"{address}/endive/stripe.js")[0] == 200
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, "")


def test_command_says_that_the_port_is_busy(server):
    with command("--port", str(server.server_port)) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"Port {server.server_port} of 127.0.0.1 cannot be used" in errors
    assert "Traceback" not in errors


def test_command_takes_test_keys_only():
    with command("--port", "0", STRIPE_SECRET_KEY="sk_live_x") as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "test keys only" in errors
