"""All settings. Differences between machines come from the environment, read by django-environ."""

from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from clinic_booking import acting, crypto, insecure, local

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Development is the default, so that a clone runs; production sets ENVIRONMENT=production.
ENVIRONMENT = env.str("ENVIRONMENT", "development")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", False)


def required_in_production(name: str, default: str) -> str:
    value: str = env.str(name, "" if PRODUCTION else default)
    if PRODUCTION and not value:
        raise ImproperlyConfigured(
            f"Set the environment variable {name}: production does not start without it."
        )
    return value


def required_keys(name: str, default: str) -> str:
    """Several `id:base64`, the current one first; never those of development in production (docs/vault.md)."""
    value = required_in_production(name, default)
    try:
        keys = crypto.Keys.of(value)
    except crypto.BadKeys as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None
    if PRODUCTION and set(keys.by_id.values()) & set(crypto.Keys.of(default).by_id.values()):
        raise ImproperlyConfigured(
            f"{name} holds the key of development: `openssl rand -base64 32` prints another."
        )
    return value


SECRET_KEY = required_in_production("SECRET_KEY", "development-only-key-never-used-in-production-4f1c0a7e")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=[] if PRODUCTION else ["127.0.0.1", "localhost", "testserver"]
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "channels",
    "procrastinate.contrib.django",
    "clinic_booking",
    "patients",
    "scheduling",
    "billing",
]

MIDDLEWARE = [
    "clinic_booking.addresses.behind_proxy",
    "clinic_booking.metrics.MetricsMiddleware",
    "clinic_booking.middleware.request_id",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "clinic_booking.middleware.admin_csp",
    "clinic_booking.middleware.permissions_policy",
    "clinic_booking.middleware.refuse_bad_input",
    "clinic_booking.middleware.RefuseCardNumbers",
    "clinic_booking.acting.middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "clinic_booking.rows.middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "clinic_booking.audit.reads.middleware",
    "clinic_booking.accounts.sessions.middleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "clinic_booking.middleware.NamedErrors",
    "clinic_booking.limits.RateLimits",
]

ROOT_URLCONF = "clinic_booking.urls"
ASGI_APPLICATION = "clinic_booking.asgi.application"
WSGI_APPLICATION = "clinic_booking.wsgi.application"
AUTH_USER_MODEL = "clinic_booking.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = reverse_lazy("login")
LOGIN_REDIRECT_URL = reverse_lazy("home")
LOGOUT_REDIRECT_URL = reverse_lazy("home")
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "clinic_booking.context.site",
            ],
            "builtins": [
                "clinic_booking.templatetags.page",
                "django.templatetags.i18n",
                "django.templatetags.static",
            ],
        },
    },
]

# -- Database, cache, sessions -------------------------------------------------------------------

# What processes may do is what this role may do; migrations are made without it, by the owner of the tables.
DATABASE_ROLE = env.str("DATABASE_ROLE", "")
DATABASES = {"default": env.db_url_config(env.str("DATABASE_URL", "") or local.database_url())}
DATABASES["default"] |= {
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    "DISABLE_SERVER_SIDE_CURSORS": True,
    "OPTIONS": {
        "application_name": env.str("APPLICATION_NAME", "clinic-booking"),
        "connect_timeout": 5,
        "server_side_binding": True,
        "prepare_threshold": 5,  # planning the hot statements costs more than running them
        "options": f"-c lock_timeout={env.int('LOCK_TIMEOUT_MS', 3000)}"
        f" -c statement_timeout={env.int('STATEMENT_TIMEOUT_MS', 15000)}"
        " -c idle_in_transaction_session_timeout=60000"
        + (f" -c role={DATABASE_ROLE}" if DATABASE_ROLE else ""),
        **DATABASES["default"].get("OPTIONS", {}),
    },
}

REDIS_URL = env.str("REDIS_URL", "") or local.redis_url()
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        # A lost Redis costs speed, never a booking.
        "OPTIONS": {"IGNORE_EXCEPTIONS": True, "SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 1},
    }
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_NAME = "__Host-session" if PRODUCTION else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if PRODUCTION else "csrftoken"
CSRF_COOKIE_HTTPONLY = True  # scripts have the token from the page
LANGUAGE_COOKIE_SECURE, LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_SAMESITE = PRODUCTION, True, "Lax"
CSRF_FAILURE_VIEW = "clinic_booking.errors.csrf_failure"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 12},
        "CommonPasswordValidator": {},
        "NumericPasswordValidator": {},
    }.items()
]

# -- Audit (docs/audit.md) ----------------------------------------------------------------------

# The first seals the trail; older ones, after commas, still prove what they sealed.
AUDIT_KEYS = required_in_production("AUDIT_KEYS", "development-only-audit-key").split(",")

# What is unusual, by day and login.
AUDIT_LIMITS = {
    "records": env.int("AUDIT_LIMIT_RECORDS", 200),  # at least; more than three times the usual
    "night": env.int("AUDIT_LIMIT_NIGHT", 30),
    "unmask": env.int("AUDIT_LIMIT_UNMASK", 10),
    "break_glass": env.int("AUDIT_LIMIT_BREAK_GLASS", 2),
    "export": env.int("AUDIT_LIMIT_EXPORT", 20),
    "login_failed": env.int("AUDIT_LIMIT_LOGIN_FAILED", 10),
}
# Different people's records one login opens within an hour: above the first a reason is asked for, above the second
# one the second factor too (docs/audit.md).
AUDIT_LOOKS_AN_HOUR = env.int("AUDIT_LOOKS_AN_HOUR", 60)
AUDIT_LOOKS_AN_HOUR_HARD = env.int("AUDIT_LOOKS_AN_HOUR_HARD", 180)

# -- Doors: second factors, sessions (docs/accounts.md) -------------------------------------------

SECOND_FACTOR_KEYS = required_in_production("SECOND_FACTOR_KEYS", "development-only-second-factor").split(",")
# Passes every second factor: for the demo, which prints it.
DEMO_SECOND_FACTOR_CODE = env.str("MFA_TOTP_INSECURE_BYPASS_CODE", "")
if PRODUCTION and DEMO_SECOND_FACTOR_CODE:
    raise ImproperlyConfigured(
        "Unset the environment variable MFA_TOTP_INSECURE_BYPASS_CODE: it opens every account in production."
    )
STAFF_IDLE_SECONDS = env.int("STAFF_IDLE_SECONDS", 15 * 60)
PATIENT_IDLE_SECONDS = env.int("PATIENT_IDLE_SECONDS", 30 * 60)
ACCOUNT_ADAPTER = "clinic_booking.accounts.adapter.AccountAdapter"
MFA_ADAPTER = "clinic_booking.accounts.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # half minutes before and after: clocks of phones go wrong
MFA_WEBAUTHN_USER_VERIFICATION = "required"
ACCOUNT_EMAIL_VERIFICATION = "none"  # by our own codes
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*"]

# -- Language, time ------------------------------------------------------------------------------

LANGUAGE_CODE = "en-sg"
LANGUAGES = [("en-sg", "English (Singapore)")]
# Of messages. The pages are in English, whatever the browser asks for: half translated would be worse.
MESSAGE_LANGUAGES = [("en", "English"), ("zh", "中文"), ("ms", "Bahasa Melayu"), ("ta", "தமிழ்")]
MESSAGE_LOCALES = {"en": LANGUAGE_CODE, "zh": "zh-hans", "ms": "ms", "ta": "ta"}  # for dates and times
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["clinic_booking.formats"]
TIME_ZONE = env.str("TIME_ZONE", "Asia/Singapore")
PROXY_MINOR_UNTIL_AGE = env.int(
    "PROXY_MINOR_UNTIL_AGE", 18
)  # the birthday on which a parent stops acting for a child
USE_TZ = True

# -- Static files --------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = env.str("STATIC_ROOT", str(BASE_DIR / "staticfiles")) if PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "clinic_booking.npm.NpmFinder",
]
NODE_MODULES = BASE_DIR / "node_modules"
NPM_STATICFILES = {
    "bootstrap": [
        "dist/css/bootstrap.min.css",
        "dist/css/bootstrap.min.css.map",
        "dist/js/bootstrap.bundle.min.js",
        "dist/js/bootstrap.bundle.min.js.map",
    ],
    "@event-calendar/build": [
        "dist/event-calendar.min.css",
        "dist/event-calendar.min.js",
        "dist/event-calendar.min.js.map",
    ],
    "htmx.org": ["dist/htmx.min.js"],
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# Without collectstatic (demo, tests) the files come from the finders.
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False

# -- Jobs ----------------------------------------------------------------------------------------

# Several at a time, so that one that waits for Stripe or a mail server holds up no other. The events stay, done jobs go.
# It also looks every second: a notification that comes while it looks is lost.
PROCRASTINATE_WORKER_DEFAULTS = {
    "concurrency": 4,
    "delete_jobs": "successful",
    "fetch_job_polling_interval": 1.0,
    "task_middleware": [acting.job],
}

# -- Admin ---------------------------------------------------------------------------------------

TEAL = {50: "98.4% .014 181", 100: "95.3% .051 181", 200: "91% .096 180", 300: "85.5% .138 181"}
TEAL |= {400: "77.7% .152 182", 500: "60% .118 185", 600: "51.1% .096 186", 700: "43.7% .078 188"}
TEAL |= {800: "38.6% .063 188", 900: "32% .053 190", 950: "27.7% .046 193"}
UNFOLD = {
    "SITE_TITLE": "Harbour Clinics",
    "SITE_HEADER": "Harbour Clinics",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "COLORS": {"primary": {str(step): f"oklch({value})" for step, value in TEAL.items()}},
}

# -- Singpass (docs/singpass.md); without a client id and keys it is not offered ------------------

SINGPASS_CLIENT_ID = env.str("SINGPASS_CLIENT_ID", "")
SINGPASS_PRODUCTION_ISSUER = "https://id.singpass.gov.sg/fapi"
SINGPASS_ISSUER = env.str("SINGPASS_ISSUER", "") or SINGPASS_PRODUCTION_ISSUER
SINGPASS_REDIRECT_URI = env.str("SINGPASS_REDIRECT_URI", "") or f"{SITE_URL}/oidc/callback/"
SINGPASS_SCOPES = env.str("SINGPASS_SCOPES", "") or "openid"
SINGPASS_MIN_ACR = env.str("SINGPASS_MIN_ACR", "") or "urn:singpass:authentication:loa:2"
SINGPASS_CONTEXT_TYPE = env.str("SINGPASS_CONTEXT_TYPE", "") or "APP_AUTHENTICATION_DEFAULT"
SINGPASS_CONTEXT_MESSAGE = env.str("SINGPASS_CONTEXT_MESSAGE", "")
# Private keys as JWKS or PEM: the first of each is in use.
SINGPASS_SIGNING_KEYS = env.str("SINGPASS_SIGNING_KEYS", "")
SINGPASS_ENCRYPTION_KEYS = env.str("SINGPASS_ENCRYPTION_KEYS", "")
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "patients.singpass.backend.SingpassBackend",
]
OIDC_RP_CLIENT_ID = SINGPASS_CLIENT_ID
OIDC_RP_CLIENT_SECRET = ""  # mozilla-django-oidc wants one; we sign instead
OIDC_RP_SIGN_ALGO = "ES256"
# It wants these to be named; discovery says where they are.
OIDC_OP_AUTHORIZATION_ENDPOINT = f"{SINGPASS_ISSUER}/auth"
OIDC_OP_TOKEN_ENDPOINT = f"{SINGPASS_ISSUER}/token"
OIDC_OP_USER_ENDPOINT = f"{SINGPASS_ISSUER}/userinfo"
OIDC_OP_JWKS_ENDPOINT = f"{SINGPASS_ISSUER}/.well-known/keys"
OIDC_RP_SCOPES = SINGPASS_SCOPES
OIDC_USE_NONCE = OIDC_USE_PKCE = True
OIDC_STATE_SIZE = OIDC_NONCE_SIZE = 43
OIDC_PKCE_CODE_VERIFIER_SIZE = 64
OIDC_MAX_STATES = 5
OIDC_STORE_ACCESS_TOKEN = OIDC_STORE_ID_TOKEN = OIDC_ALLOW_UNSECURED_JWT = False

# -- Payments (billing/gateway.py) ---------------------------------------------------------------

STRIPE_SECRET_KEY = required_in_production("STRIPE_SECRET_KEY", "sk_test_local")
STRIPE_PUBLISHABLE_KEY = required_in_production("STRIPE_PUBLISHABLE_KEY", "pk_test_local")
# Several, separated by commas, while a secret is rolled.
STRIPE_WEBHOOK_SECRETS = [
    s for s in required_in_production("STRIPE_WEBHOOK_SECRET", "whsec_local").split(",") if s
]
STRIPE_API_BASE = (
    env.str("STRIPE_API_BASE", "" if PRODUCTION else local.stripe_url()) or "https://api.stripe.com"
)
STRIPE_REAL = STRIPE_API_BASE == "https://api.stripe.com"
STRIPE_JS_URL = (
    "https://js.stripe.com/endive/stripe.js" if STRIPE_REAL else f"{STRIPE_API_BASE}/endive/stripe.js"
)
CURRENCY = "sgd"

# -- Mail ----------------------------------------------------------------------------------------

vars().update(env.email_url("EMAIL_URL", default="consolemail://" if PRODUCTION else local.email_url()))
EMAIL_TIMEOUT = 20  # seconds; less than after which a job counts as stalled
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Harbour Clinics <no-reply@harbour-clinics.example>")
BRAND = DEFAULT_FROM_EMAIL.split("<")[0].strip()
# "off", "console", "file", or the dotted name of a provider's class (docs/messages.md).
MESSAGE_GATEWAYS = {
    "sms": env.str("SMS_GATEWAY", "") or ("off" if PRODUCTION else "file"),
    "whatsapp": env.str("WHATSAPP_GATEWAY", "") or ("off" if PRODUCTION else "file"),
}
MESSAGE_FILES = env.str("MESSAGE_FILES", str(local.LOCAL / "messages"))
# With which providers sign their reports; several, separated by commas, while one is rolled.
MESSAGE_REPORT_SECRETS = env.list("MESSAGE_REPORT_SECRETS", default=[] if PRODUCTION else ["report_local"])
DPO_EMAIL = env.str("DPO_EMAIL", "dpo@harbour-clinics.example")  # the Data Protection Officer, PDPA s 11

# -- Backups and retention (docs/retention.md, docs/ops.md) ---------------------------------------

# The list of deletions is kept there too. The copy is for another place than the first.
BACKUP_DIR = env.str("BACKUP_DIR", "" if PRODUCTION else str(local.LOCAL / "backups"))
BACKUP_COPY_DIR = env.str("BACKUP_COPY_DIR", "")
# Only `backup` and `restore` need it: processes that serve pages do without.
BACKUP_KEY = env.str("BACKUP_KEY", "" if PRODUCTION else "development-only-backup-key-of-32-characters")
BACKUP_DATABASE_URL = env.str(
    "BACKUP_DATABASE_URL", ""
)  # of a role that reads all rows, where the own one does not
# Of a breach (compliance.md §1.1, §2.3): the Minister's are to be prescribed.
BREACH_ASSESS_DAYS = env.int("BREACH_ASSESS_DAYS", 30)
BREACH_COMMISSION_DAYS = env.int("BREACH_COMMISSION_DAYS", 3)
BREACH_MINISTER_FIRST_HOURS = env.int("BREACH_MINISTER_FIRST_HOURS", 2)
BREACH_MINISTER_FULL_HOURS = env.int("BREACH_MINISTER_FULL_HOURS", 72)

# -- Security ------------------------------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # bytes; a larger body is answered 413
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 63072000 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", PRODUCTION)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# Who may say for whom a request is: the proxy beside the application, in a private network.
PRIVATE = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=PRIVATE if PRODUCTION else [])
# How often, in how many seconds (clinic_booking/limits.py): of a user who is logged in, else of an address, behind
# which a whole clinic or a mobile network may be. "off", or such as "search=600/60,login=60/300" for others.
RATE_LIMITS: dict[str, tuple[int, ...]] = {
    "account": (20, 300),
    "login": (60, 300),
    "code": (30, 300),
    "hold": (120, 60),
    "search": (600, 60),
    "secret": (300, 60),
    "feed": (120, 60),
    "report": (3000, 60),
    "webhook": (3000, 60),
    "unmask": (60, 300),
    "complaint": (10, 3600),
}
rates = env.list("RATE_LIMITS", default=[])
if rates == ["off"]:
    RATE_LIMITS = {}
else:
    of = (rate.partition("=") for rate in rates)
    RATE_LIMITS |= {scope: tuple(map(int, rate.split("/"))) for scope, _equals, rate in of}
# What visitors who are not known may hold at a time from one address (of IPv6 a /64), and all of them of a clinic's day
# in percent of its hours. 0 and 100: as much as they like.
HOLDS_PER_ADDRESS = env.int("HOLDS_PER_ADDRESS", 12)
UNKNOWN_SHARE_PERCENT = env.int("UNKNOWN_SHARE_PERCENT", 75)
WSGI_THREADS = env.int("WSGI_THREADS", 8)  # of the one-process server; each has a database connection
METRICS_TOKEN = env.str("METRICS_TOKEN", "")  # when set, /metrics wants "Authorization: Bearer …"

# Of sealed columns, and of the index by which an identity number is found: outside the database, and not in its backups.
FIELD_KEYS = required_keys("FIELD_KEYS", "dev:ZGV2ZWxvcG1lbnQtb25seS1maWVsZC1rZXktMDAwMDE=")
BLIND_INDEX_KEYS = required_keys("BLIND_INDEX_KEYS", "dev:ZGV2ZWxvcG1lbnQtb25seS1ibGluZC1pbmRleC0wMDE=")
UNMASKED_AN_HOUR = env.int("UNMASKED_AN_HOUR", 30)  # identity numbers that one user may see whole

# -- Logs: one JSON object a line, no personal data ----------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "clinic_booking.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"handlers": ["console"], "propagate": False},
        "django.request": {"level": "ERROR"},
        "stripe": {"level": "WARNING"},
        "procrastinate": {"level": "WARNING"},
        "asyncio": {"level": "WARNING"},
    },
}

if PRODUCTION and (reasons := list(insecure.reasons(globals()))):
    raise insecure.Insecure(reasons)
