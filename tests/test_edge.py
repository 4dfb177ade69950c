"""The shipped nginx configuration, run for real on loopback."""

import datetime as dt
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import string
import subprocess
import threading
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.sync.client import connect

from scheduling import live
from tests.servers import serve

OPENSSL, CURL = shutil.which("openssl"), shutil.which("curl")
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
NAME = "booking.clinic.example"
TEMPLATE = Path("ops/nginx.conf.template")
MAIN = """
daemon off; pid {home}/pid; worker_processes 1; {user}
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    include {home}/edge.conf;
}}
"""


@pytest.fixture(autouse=True, scope="module")
def _nginx_is_here():
    if not (NGINX and OPENSSL and CURL):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "no nginx, openssl or curl: apt-get install nginx-light openssl curl"
        )


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return probe.getsockname()[1]


def write_certificate(home):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (home / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    (home / "certificate.pem").write_bytes(certificate.public_bytes(pem))


class Edge:
    def __init__(self, home, upstream, change=lambda text: text):
        self.home, self.plain, self.tls = home, free_port(), free_port()
        write_certificate(home)
        values = {
            "SERVER_NAME": NAME,
            "TLS_CERTIFICATE": home / "certificate.pem",
            "TLS_KEY": home / "key.pem",
            "HTTP_LISTEN": f"127.0.0.1:{self.plain}",
            "TLS_LISTEN": f"127.0.0.1:{self.tls}",
            "WEB": upstream,
            "LIVE": upstream,
            "HSTS_SECONDS": "300",
        }
        (home / "edge.conf").write_text(string.Template(change(TEMPLATE.read_text())).safe_substitute(values))
        user = "user root;" if os.geteuid() == 0 else ""
        (home / "nginx.conf").write_text(MAIN.format(home=home, user=user))
        self.context = ssl.create_default_context(cafile=home / "certificate.pem")

    @contextmanager
    def running(self):
        command = [NGINX, "-c", str(self.home / "nginx.conf"), "-p", str(self.home), "-e", "stderr"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            self.wait_until_it_listens(process)
            yield self
        finally:
            process.terminate()
            self.log = process.communicate(timeout=10)[0].decode()

    def wait_until_it_listens(self, process):
        pause = threading.Event()
        for _ in range(200):
            assert process.poll() is None, process.stdout.read().decode()
            try:
                return socket.create_connection(("127.0.0.1", self.tls), 5).close()
            except ConnectionRefusedError:
                pause.wait(0.05)
        raise AssertionError("nginx does not listen")

    def ask(self, path, *, method="GET", body=None, host=NAME, headers=None):
        with closing(TlsConnection(self)) as connection:
            connection.request(method, path, body=body, headers={"Host": host} | (headers or {}))
            response = connection.getresponse()
            response.text = response.read().decode()
            return response

    def handshake(self, *, server_name, version, ciphers=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        with (
            socket.create_connection(("127.0.0.1", self.tls), 10) as plain,
            context.wrap_socket(plain, server_hostname=server_name) as secure,
        ):
            return secure.version()

    def openssl(self, *options, given=""):
        """What `openssl s_client` says of a handshake, SECLEVEL 0: it is to try what it thinks too old."""
        command = [
            OPENSSL,
            "s_client",
            "-connect",
            f"127.0.0.1:{self.tls}",
            "-cipher",
            "ALL:@SECLEVEL=0",
            *options,
        ]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr


class TlsConnection(http.client.HTTPSConnection):
    def __init__(self, edge):
        super().__init__(NAME, edge.tls, context=edge.context, timeout=20)

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=NAME)


@pytest.fixture
def edge(transactional_db, settings, tmp_path):
    from clinic_booking.asgi import application

    settings.ALLOWED_HOSTS = [NAME]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    with serve(application) as address, Edge(tmp_path, urlsplit(address).netloc).running() as running:
        yield running


@pytest.fixture
def bare_edge(tmp_path):
    """Nobody is behind it."""
    with Edge(tmp_path, f"127.0.0.1:{free_port()}").running() as running:
        yield running


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("server_name", [NAME, "another.example", None])
def test_only_tls_1_3_is_spoken(bare_edge, server_name):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            bare_edge.handshake(server_name=server_name, version=version)
    assert bare_edge.handshake(server_name=server_name, version=ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


NAMES = {
    "ours": ["-servername", NAME],
    "another": ["-servername", "another.example"],
    "none": ["-noservername"],
}


@pytest.mark.parametrize("name", NAMES)
def test_openssl_is_refused_what_is_older(bare_edge, name):
    """compliance.md §5, line by line."""
    for version in ("-tls1", "-tls1_1", "-tls1_2"):
        said = bare_edge.openssl(version, *NAMES[name])
        assert "alert number 70" in said, version
        assert "New, (NONE)" in said
    said = bare_edge.openssl("-tls1_3", *NAMES[name])
    assert "New, TLSv1.3" in said
    assert "Early data was not sent" in said


def test_chain_and_name_are_verified(bare_edge):
    trusted = [
        "-CAfile",
        str(bare_edge.home / "certificate.pem"),
        "-verify_return_error",
        "-servername",
        NAME,
    ]
    assert "Verify return code: 0 (ok)" in bare_edge.openssl(*trusted, "-verify_hostname", NAME)
    assert "hostname mismatch" in bare_edge.openssl(*trusted, "-verify_hostname", "another.example").lower()
    assert "Verify return code: 0 (ok)" not in bare_edge.openssl("-verify_return_error", "-servername", NAME)


def test_no_early_data_can_be_replayed(bare_edge):
    """A session that is taken up again allows none, whatever the client would like."""
    session, early = bare_edge.home / "session.pem", bare_edge.home / "early"
    request = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
    options = ["-tls1_3", "-servername", NAME, "-ign_eof"]
    bare_edge.openssl(*options, "-sess_out", str(session), given=request)
    early.write_text(request)
    said = bare_edge.openssl(*options, "-sess_in", str(session), "-early_data", str(early), given=request)
    assert "Reused, TLSv1.3" in said
    assert "Max Early Data: 0" in said
    assert "Early data was accepted" not in said


def test_curl_of_tls_1_2_is_refused(bare_edge):
    options = [
        "--silent",
        "--insecure",
        "--output",
        "/dev/null",
        "--resolve",
        f"{NAME}:{bare_edge.tls}:127.0.0.1",
    ]
    address = f"https://{NAME}:{bare_edge.tls}/"
    old = subprocess.run([CURL, "--tlsv1.0", "--tls-max", "1.2", *options, address], timeout=20)
    assert old.returncode == 35
    assert subprocess.run([CURL, *options, address], timeout=20).returncode == 0


def test_flood_of_one_address_is_refused(tmp_path):
    def slower(template):
        assert "rate=100r/s" in template
        assert "burst=400" in template
        return template.replace("rate=100r/s", "rate=1r/m").replace("burst=400", "burst=2")

    with Edge(tmp_path, f"127.0.0.1:{free_port()}", slower).running() as edge:
        answers = [edge.ask("/") for _ in range(5)]
    assert [answer.status for answer in answers] == [502, 502, 502, 429, 429]
    assert answers[-1].headers["Retry-After"] == "2"
    assert answers[-1].headers["Strict-Transport-Security"]


def test_client_address_is_what_the_proxy_sees(edge, settings):
    settings.ROOT_URLCONF = "tests.test_kernel_http"
    said = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=203.0.113.9",
    }
    seen = json.loads(edge.ask("/meta/", headers=said).text)
    assert seen["HTTP_HOST"] == NAME
    assert "203.0.113.9" not in json.dumps(seen)
    assert "evil.example" not in json.dumps(seen)


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that came."""

    def do_GET(self):
        told = json.dumps(dict(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *args):
        pass


@pytest.fixture
def behind():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


def test_nothing_a_client_says_of_its_way_gets_through(tmp_path, behind):
    """What the application would see of it, whatever it then does with that."""
    said = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=203.0.113.9;host=evil.example",
        "X-Request-ID": "chosen-by-the-client",
    }
    with Edge(tmp_path, behind).running() as edge:
        told = json.loads(edge.ask("/", headers=said).text)
    told = {name.lower(): value for name, value in told.items()}
    assert (told["host"], told["x-forwarded-for"], told["x-forwarded-proto"]) == (NAME, "127.0.0.1", "https")
    assert not {"x-forwarded-host", "forwarded"} & {name for name, value in told.items() if value}
    assert len(told["x-request-id"]) == 32


def test_settings_without_a_sign_of_their_own():
    """s_client cannot tell them: tickets whose key is never changed, and which ciphers there would be."""
    text = TEMPLATE.read_text()
    assert re.findall(r"^ssl_(\w+) (.*?);", text, re.MULTILINE)[:5] == [
        ("protocols", "TLSv1.3"),
        (
            "conf_command",
            "Ciphersuites TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
        ),
        ("early_data", "off"),
        ("session_tickets", "off"),
        ("session_cache", "shared:tls:5m"),
    ]
    # One in a location would drop those of its server: HSTS vanished there (compliance.md §5).
    assert not [
        place
        for place in re.findall(r"^    location [^{]*\{[^}]*\}", text, re.MULTILINE)
        if "add_header" in place
    ]
    assert text.count("server {") == text.count("add_header Strict-Transport-Security") + 1  # that of port 80


def test_plain_http_is_sent_to_https(bare_edge):
    with closing(http.client.HTTPConnection("127.0.0.1", bare_edge.plain, timeout=20)) as connection:
        connection.request("POST", "/holds/?a=1", body=b"x", headers={"Host": "evil.example"})
        response = connection.getresponse()
        assert (response.status, response.headers["Location"]) == (308, f"https://{NAME}/holds/?a=1")


def test_other_names_are_turned_away(bare_edge):
    assert bare_edge.ask("/", host="another.example").status == 421


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/healthz", 200), ("/nowhere/", 404), ("/metrics", 404), ("/readyz", 404), ("/crash/", 500)),
        ("/static/css/theme.css", 200),
    ],
)
def test_every_answer_has_hsts(edge, settings, path, status):
    settings.ROOT_URLCONF = "tests.test_kernel_http"
    response = edge.ask(path)
    assert response.status == status
    assert response.headers.get_all("Strict-Transport-Security") == ["max-age=300; includeSubDomains"]


def test_nginx_own_answers_have_hsts(bare_edge):
    for path, body, status in [("/", None, 502), ("/ws/", None, 502), ("/", b"x" * 300_000, 413)]:
        response = bare_edge.ask(path, method="POST" if body else "GET", body=body)
        assert response.status == status
        assert response.headers["Strict-Transport-Security"]
        assert response.headers["Server"] == "nginx"


def test_django_knows_that_it_is_https(edge):
    """A plain-text upstream request would be refused by the CSRF check for its foreign origin."""
    page = edge.ask("/login/")
    token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    cookie = page.headers["Set-Cookie"].split(";")[0]
    headers = {
        "Cookie": cookie,
        "Origin": f"https://{NAME}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = f"csrfmiddlewaretoken={token}&username=nobody&password=wrong"
    assert edge.ask("/login/", method="POST", body=body, headers=headers).status == 200
    headers["Origin"] = f"http://{NAME}"
    assert edge.ask("/login/", method="POST", body=body, headers=headers).status == 403


def test_sockets_pass(edge, clinic):
    with ExitStack() as stack:
        plain = socket.create_connection(("127.0.0.1", edge.tls), 20)
        address = f"wss://{NAME}/ws/availability/{clinic.slug}/2030-01-07/"
        # The origins were taken from the settings when the application was made.
        options = {"sock": plain, "ssl": edge.context, "origin": "http://localhost", "compression": None}
        opened = stack.enter_context(connect(address, **options))
        live.announce([(clinic.pk, dt.date(2030, 1, 7), 5, 2, "booked", None)])
        assert "[5,2" in opened.recv(10)


def test_log_tells_no_address_or_path(tmp_path):
    edge = Edge(tmp_path, f"127.0.0.1:{free_port()}")
    with edge.running():
        edge.ask("/bookings/SECRET/?name=Tan")
    assert '"status":502' in edge.log
    assert not any(word in edge.log for word in ("SECRET", "Tan", "127.0.0.1"))
