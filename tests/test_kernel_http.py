"""The one-process server and the middleware, over real sockets."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError, connection
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils.html import escape
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from clinic_booking import errors, logs
from tests.servers import serve


class TooLate(errors.NamedError):
    status = 410
    sentence = "Somebody was quicker."


@csrf_exempt
def echo(request):
    return HttpResponse(request.body)


def form(request):
    return HttpResponse(request.POST.get("slot", ""))


def meta(request):
    return JsonResponse({name: value for name, value in request.META.items() if isinstance(value, str)})


def refuse(request):
    raise TooLate


def take_too_long(request):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        cursor.execute("SELECT pg_sleep(1)")


def out_of_range(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text::int", ["99999999999"])


def fail_with(exception):
    def view(request):
        raise exception

    return view


urlpatterns = [
    path("echo/", echo),
    path("form/", form),
    path("post/", require_POST(form)),
    path("meta/", meta),
    path("named/", refuse),
    path("slow/", take_too_long),
    path("range/", out_of_range),
    path("lost/", fail_with(OperationalError("connection refused"))),
    path("crash/", fail_with(ZeroDivisionError())),
    path("big/", fail_with(RequestDataTooBig())),
    path("forbidden/", fail_with(PermissionDenied())),
    path("", include("clinic_booking.urls")),
]
handler400 = "clinic_booking.errors.bad_request"
handler403 = "clinic_booking.errors.permission_denied"
handler404 = "clinic_booking.errors.not_found"
handler500 = "clinic_booking.errors.server_error"


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def lenient(client):
    client.raise_request_exception = False
    return client


@pytest.fixture
def server(transactional_db):
    from clinic_booking.asgi import application

    with serve(application) as address:
        yield urlsplit(address).port


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def raw(port, request):
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        plain.sendall(request)
        return plain.makefile("rb").readline()


def test_body_and_headers_pass_through(server):
    body = bytes(range(256)) * 400
    assert ask(server, "POST", "/echo/", body)[2] == body
    seen = json.loads(ask(server, "GET", "/meta/?a=%C3%A9&b=1", headers={"Cookie": "x=1", "X-Y": "z"})[2])
    assert seen["QUERY_STRING"] == "a=%C3%A9&b=1"
    assert seen["HTTP_COOKIE"] == "x=1"
    assert seen["HTTP_X_Y"] == "z"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"


def test_chunked_body_passes_through(server):
    pieces = iter([b"slot=1", b"&service=2"])
    assert ask(server, "POST", "/echo/", pieces)[2] == b"slot=1&service=2"


def test_underscore_header_is_not_the_proxys(server):
    seen = json.loads(ask(server, "GET", "/meta/", headers={"X_Forwarded_Proto": "https"})[2])
    assert "HTTP_X_FORWARDED_PROTO" not in seen


def test_head_has_no_body(server):
    status, headers, body = ask(server, "HEAD", "/echo/")
    assert (status, body) == (200, b"")


@pytest.mark.parametrize("body", [b"x" * 1_000_000, iter([b"x" * 100_000] * 10)])
def test_large_body_is_refused(server, body):
    status, _, text = ask(server, "POST", "/echo/", body)
    assert status == 413
    assert str(errors.TooLarge.sentence).encode() in text
    assert ask(server, "GET", "/echo/")[0] == 200


def test_cut_off_body_never_reaches_a_view(server):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server), 20) as plain:
            plain.sendall(b"POST /echo/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nslot=1")
    assert ask(server, "GET", "/echo/")[0] == 200


def test_slow_uploads_hold_no_thread(server, settings):
    begun = [socket.create_connection(("127.0.0.1", server), 20) for _ in range(settings.WSGI_THREADS + 2)]
    for plain in begun:
        plain.sendall(b"POST /echo/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nslot=1")
    assert ask(server, "GET", "/echo/")[0] == 200
    for plain in begun:
        plain.close()


def test_raw_bytes_in_the_address_are_refused(server):
    assert b" 400 " in raw(server, b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 400 " in raw(server, b"GET /echo/?q=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 400 " in raw(server, b"GET /%ff/ HTTP/1.1\r\nHost: localhost\r\n\r\n")


@pytest.mark.parametrize("path", ["/%FF/", "/a%00b/", "/echo/?q=%FF", "/echo/?q=%00", "/echo/?%C3&%A9=1"])
def test_what_is_no_text_is_refused(client, path):
    response = client.get(path)
    assert response.status_code == 400
    assert str(errors.BadInput.sentence) in response.text


@pytest.mark.parametrize("query", ["q=%C3%A9", "q=é", "q=100%25&r=%", "q=张+伟", ""])
def test_text_passes(client, query):
    assert client.get(f"/echo/?{query}").status_code == 200


def test_other_scripts_in_a_path_are_not_refused(client):
    assert client.get("/诊所/").status_code == 404


def test_large_form_is_refused(client):
    client.handler.enforce_csrf_checks = True
    response = client.post("/form/", {"slot": "1" * 300_000})
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/named/", TooLate),
        ("/range/", errors.BadInput),
        ("/slow/", errors.Busy),
        ("/lost/", errors.Busy),
        ("/crash/", errors.Fault),
        ("/big/", errors.TooLarge),
        ("/forbidden/", errors.NotAllowed),
        ("/nowhere/", errors.NoSuchPage),
    ],
)
@pytest.mark.django_db
def test_trouble_has_a_status_and_a_sentence(lenient, path, error):
    response = lenient.get(path)
    assert response.status_code == error.status
    assert str(escape(error.sentence)) in response.text
    assert response.get("Retry-After") == ("2" if error is errors.Busy else None)


def test_address_of_a_form_is_no_blank_page(client):
    """Whoever logs in anew comes there with a GET."""
    response = client.get("/post/")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert str(errors.NotThisWay.sentence) in response.text


def test_stale_form_is_refused_with_a_sentence():
    response = Client(enforce_csrf_checks=True).post("/form/", {"slot": "1"})
    assert response.status_code == 403
    assert str(errors.StalePage.sentence) in response.text


def test_htmx_gets_a_fragment(client):
    response = client.get("/named/", headers={"HX-Request": "true"})
    assert response.status_code == 410
    assert "Somebody was quicker." in response.text
    assert "<html" not in response.text


def test_scripts_get_json(client):
    response = client.get("/named/", headers={"Accept": "application/json"})
    assert response.json() == {"error": "Somebody was quicker."}


def test_database_trouble_does_not_break_its_own_page(client, receptionist):
    client.force_login(receptionist)
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/lost/")
    assert response.status_code == 503
    assert not queries.captured_queries


def test_request_id_is_the_proxys_or_ours(client):
    assert client.get("/echo/", headers={"X-Request-ID": "abcd-1234"})["X-Request-ID"] == "abcd-1234"
    ours = client.get("/echo/", headers={"X-Request-ID": "a\tb{}"})["X-Request-ID"]
    assert len(ours) == 32
    assert client.get("/echo/")["X-Request-ID"] != ours


def test_request_id_is_in_the_log(client, caplog):
    client.raise_request_exception = False
    caplog.handler.setFormatter(logs.JsonFormatter())
    client.get("/lost/", headers={"X-Request-ID": "abcd-1234"})
    assert json.loads(caplog.handler.stream.getvalue().splitlines()[0])["request_id"] == "abcd-1234"


@pytest.mark.django_db
def test_only_the_admin_has_a_wider_csp(client):
    assert "unsafe-eval" in client.get("/admin/login/")["Content-Security-Policy"]
    policy = client.get("/nowhere/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
