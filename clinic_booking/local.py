"""Stand-in until the real module lands."""


def database_url() -> str:
    return "postgres://postgres@127.0.0.1:5432/clinic"


def redis_url() -> str:
    return "redis://127.0.0.1:6379/0"


def stripe_url() -> str:
    return "http://127.0.0.1:12111"


def email_url() -> str:
    return "consolemail://"


def ensure_running() -> None:
    pass
