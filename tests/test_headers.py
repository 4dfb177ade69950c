"""What each page says about itself to the browser, and every script there is: a change here is meant."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.billing.steps import take

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=(), midi=(), display-capture=()",
}
# Scripts of templates: ours, and Stripe's where it is paid. Whoever adds one from elsewhere says why here.
OURS = re.compile(r"\{% static '(js/[\w-]+\.js|vendor/[\w./@-]+\.js)' %\}")
OF_THE_PROVIDER = {
    "billing/checkout.html": "{{ stripe_js_url }}",
    "billing/pay_link.html": "{{ stripe_js_url }}",
}
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL)
INLINE = re.compile(r"<[^>{%]*\s(on[a-z]+|style)\s*=|<style\b|javascript:", re.IGNORECASE)


def policy_of(response):
    parts = (part.strip().partition(" ") for part in response["Content-Security-Policy"].split(";"))
    return {name: value for name, _space, value in parts}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/", "/login/", "/plan/", "/privacy/", "/help/", "/nowhere/", "/bookings/NONE/", "/healthz"]
)
def test_every_page_is_strict(client, path):
    response = client.get(path)
    assert policy_of(response) == POLICY
    assert {name: response[name] for name in HEADERS} == HEADERS


def test_pages_that_pay_are_wider_for_the_provider_alone(client, settings, slots, service):
    settings.STRIPE_REAL = True
    page = client.get(f"/checkout/{take(client, slots[0], service).pk}/")
    wider = {name: value for name, value in policy_of(page).items() if value != POLICY.get(name)}
    stripe = "https://js.stripe.com https://*.js.stripe.com"
    assert wider == {
        "script-src": f"'self' {stripe}",
        "frame-src": f"{stripe} https://hooks.stripe.com",
        "connect-src": "'self' https://api.stripe.com",
    }
    # Stripe's frames do not work in an isolated page.
    assert "Cross-Origin-Embedder-Policy" not in page


def test_every_script_is_known():
    found = {}
    for file in Path("templates").rglob("*.html"):
        for attributes, content in SCRIPT.findall(file.read_text()):
            name = str(file.relative_to("templates"))
            source = re.search(r'src="([^"]+)"', attributes)
            assert source, f"{name}: a script within the page: {content[:60]}"
            assert not content.strip(), name
            if not OURS.fullmatch(source[1]):
                found[name] = source[1]
    assert found == OF_THE_PROVIDER


def test_nothing_is_inline():
    wrong = {
        f"{file}: {hit[0][:80]}"
        for file in Path("templates").rglob("*.html")
        if "email" not in file.parts and (hit := INLINE.search(file.read_text()))
    }
    assert not wrong


def test_cookies_are_closed(client, slots, service):
    answers = [
        client.get("/login/"),
        client.post("/i18n/setlang/", {"language": "en-sg", "next": "/"}),
        client.post("/holds/", {"slot": slots[0].pk, "service": service.pk}),
    ]
    cookies = {name: cookie for answer in answers for name, cookie in answer.cookies.items()}
    assert {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME} <= set(cookies)
    for cookie in cookies.values():
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert not cookie["domain"]


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "testserver:80@evil.example", ""]
)
def test_other_hosts_are_turned_away(client, host):
    response = client.get("/healthz", headers={"Host": host})
    assert response.status_code == 400
    assert "evil.example" not in response.text
