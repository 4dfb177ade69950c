"""Which login an e-mail address opens: the one that has proved it by a code (allauth's `EmailAddress`).

`User.email` is what somebody wrote: it opens the login of a patient only while nobody has proved the address.
"""

from allauth.account.models import EmailAddress

from clinic_booking.models import User


def verified(user: User) -> list[str]:
    return list(EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True))


def address_of(user: User) -> str:
    """Where a code for the login goes."""
    proved = EmailAddress.objects.filter(user=user, verified=True).order_by("-primary", "pk").first()
    return proved.email if proved else user.email


def owner(address: str) -> User | None:
    """An address that several logins have written down opens none of them. Who only knows Singpass has no password:
    their written address may be shared with others at home, so it opens nothing either."""
    proved = EmailAddress.objects.filter(email__iexact=address, verified=True).select_related("user").first()
    if proved:
        user: User = proved.user
        return user
    written = list(User.objects.filter(email__iexact=address, is_active=True)[:2])
    return written[0] if len(written) == 1 and written[0].has_usable_password() else None


def prove(user: User, address: str) -> None:
    """The user has typed a code that was sent there."""
    found, _made = EmailAddress.objects.get_or_create(
        user=user, email=address.lower(), defaults={"verified": True}
    )
    if not found.verified:
        EmailAddress.objects.filter(pk=found.pk).update(verified=True)
    if not EmailAddress.objects.filter(user=user, primary=True).exists():
        EmailAddress.objects.filter(pk=found.pk).update(primary=True)
