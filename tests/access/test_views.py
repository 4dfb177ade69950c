"""No view asks for patient data but through `visible_to` or `belonging_to`."""

import ast
import inspect
import sys

from django.urls import URLPattern, get_resolver

PATIENT_DATA = {
    *(
        "Patient",
        "Booking",
        "VisitTicket",
        "SessionTicket",
        "BookingRequest",
        "WaitlistEntry",
        "WaitlistOffer",
    ),
    *("WalkIn", "Hold", "Contract", "Bill", "CreditNote", "Payment"),
}
NARROWS = {"visible_to", "belonging_to", "none", "create"}
# Module and model, and why it is safe without.
ALLOWED = {
    ("billing.document_views", "CreditNote"): "of bills that were found through `visible_to`",
    ("patients.confidential_views", "Patient"): "known at a clinic where the user has a role",
    ("patients.identity_views", "Patient"): "by `own`: for whom the login acts",
    (
        "patients.retention.office_views",
        "Patient",
    ): "named by an officer who may hold records, by reference or key",
    ("patients.rights.office_views", "Patient"): "who the request that the privacy officer handles is about",
    ("patients.rights.views", "Patient"): "the login's own",
    ("patients.singpass.account_views", "Patient"): "the login's own",
    ("patients.singpass.views", "Patient"): "the login's own",
    ("scheduling.claims", "Patient"): "the login's own",
    ("scheduling.desk_details", "Booking"): "of the clinic that was checked",
    ("scheduling.desk_identity", "Patient"): "known at the clinic that was checked",
    ("billing.desk_fees", "Booking"): "with a bill that was found through `visible_to`",
    ("billing.contract_views", "Contract"): "of the clinic that `at_desk` has checked",
    ("billing.contract_views", "Bill"): "a prefetch: of the contract's instalments",
    ("billing.views", "Hold"): "by the secret of the browser's session",
    ("billing.views", "Payment"): "of the hold that was found by the session",
    ("billing.webhooks", "Payment"): "signed by the provider; shows nothing",
    ("scheduling.answers", "Booking"): "by the signed key of a letter",
    ("scheduling.courses", "Booking"): "of requests that were found through `belonging_to` or a contract",
    (
        "scheduling.courses",
        "SessionTicket",
    ): "of requests that were found through `belonging_to` or a contract",
    ("scheduling.desk", "Booking"): "the day of a clinic that was checked",
    ("scheduling.desk_day", "Booking"): "read again by the key of what was found",
    ("scheduling.desk_move_views", "Booking"): "read again by the key of what was found",
    ("scheduling.desk_overbook", "WalkIn"): "of the clinic that was checked",
    ("scheduling.desk_work", "Patient"): "with visits at the clinic that was checked",
    ("scheduling.doctor", "Booking"): "of the practitioner who is logged in",
    ("scheduling.desk_people", "Patient"): "known at the clinic that was checked",
    ("scheduling.desk_singpass", "Patient"): "known at the clinic that was checked",
    ("scheduling.explain_views", "SessionTicket"): "of a patient found through `visible_to`",
    ("scheduling.feeds", "Booking"): "by a secret address; without names unless the clinic allows them",
    ("scheduling.matching_views", "BookingRequest"): "wishes that the checked clinic may fulfil",
    ("scheduling.matching_views", "SessionTicket"): "wishes that the checked clinic may fulfil",
    ("scheduling.screen", "Booking"): "numbers of tickets and rooms, nothing else",
    ("scheduling.screen", "WalkIn"): "numbers of tickets and rooms, nothing else",
    ("scheduling.views", "Hold"): "by the secret of the browser's session",
    ("scheduling.views", "Patient"): "the login's own",
    ("scheduling.visits", "Booking"): "by the signed key of a letter",
    ("scheduling.visits", "Patient"): "the login's own",
    ("scheduling.waitlist_desk", "WaitlistEntry"): "wishes that the checked clinic may fulfil",
    ("scheduling.waitlist_views", "WaitlistEntry"): "of the login, or given to this browser by a signed key",
    ("scheduling.waitlist_views", "WaitlistOffer"): "of an entry that was found so",
    ("scheduling.waitlist_views", "Patient"): "whom this browser registered",
    ("scheduling.waitlist_views", "Booking"): "of the session of an entry that was found so",
    ("scheduling.wizard", "Hold"): "by the secret of the browser's session",
    ("scheduling.wizard", "SessionTicket"): "of a patient found through `visible_to`",
}


def view_modules():
    """Where the views of our apps are, with those that they take theirs from."""
    found = set()

    def walk(resolver):
        for each in resolver.url_patterns:
            if isinstance(each, URLPattern):
                found.add(inspect.unwrap(each.callback).__module__)
            else:
                walk(each)

    walk(get_resolver())
    ours = ("clinic_booking.", "patients.", "scheduling.", "billing.")
    return sorted(name for name in found if name.startswith(ours) and "admin" not in name)


def asked_without(module):
    """Models that are asked for without a look at who asks."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="objects", value=ast.Name(id=name)) if name in PATIENT_DATA:
                if getattr(parents[node], "attr", "") not in NARROWS:
                    yield name
            case ast.Call(func=ast.Name(id="get_object_or_404"), args=[ast.Name(id=name), *_]):
                if name in PATIENT_DATA:
                    yield name


def test_views_ask_through_visible_to():
    asked = {(module, model) for module in view_modules() for model in asked_without(module)}
    wrong = asked - set(ALLOWED)
    assert not wrong, f"use .visible_to(request.user), or say in ALLOWED why it is safe: {sorted(wrong)}"
    assert set(ALLOWED) <= asked, "not needed any more"
