"""Stand-in until the real module lands."""


def MetricsMiddleware(get_response):
    return get_response
