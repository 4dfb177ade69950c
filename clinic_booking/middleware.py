"""Stand-ins until the real module lands."""


def passthrough(get_response):
    return get_response


request_id = admin_csp = refuse_bad_input = named_errors = passthrough
