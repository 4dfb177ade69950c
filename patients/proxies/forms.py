"""Whom a visit is for, and who may act."""

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clinic_booking.models import User
from patients.models import Patient
from patients.proxies import acts
from patients.proxies.models import OF_MINORS, Proxy

Relation, Evidence = Proxy.Relation, Proxy.Evidence
ME, NEW = "me", "new"
DECLARES = _("I am the parent of this person, or may act for them.")
AGREES_FOR = _("I agree that the clinic uses these details for their booking and care.")
BOXES = {
    "new_declares": _("Please confirm."),
    "new_consent": _("Please agree, so that the clinic may use the details."),
}
# Whom the law has to have named is entered at the counter, where the document is seen.
DECLARABLE = (
    Relation.PARENT,
    Relation.GUARDIAN,
    Relation.SPOUSE,
    Relation.CHILD,
    Relation.SIBLING,
    Relation.CAREGIVER,
)
ASK = [("", _("Please choose"))]


def as_choices(*values: Any) -> list[tuple[str, Any]]:
    return [*ASK, *((value.value, value.label) for value in values)]


class WhoForm(forms.Form):
    """Myself, somebody I act for, or somebody new. What is not sent means myself."""

    who = forms.ChoiceField(label=_("Who is the visit for?"), required=False)
    new_name = forms.CharField(
        label=_("Name of the person"),
        max_length=120,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    new_birth_date = forms.DateField(
        label=_("Their date of birth"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    new_relation = forms.ChoiceField(
        label=_("Who are you to them?"), required=False, choices=as_choices(*DECLARABLE)
    )
    new_declares = forms.BooleanField(label=DECLARES, required=False)
    new_consent = forms.BooleanField(label=AGREES_FOR, required=False)

    def __init__(self, data: Any = None, *, user: User, asks_consent: bool = False, **options: Any) -> None:
        """`asks_consent`: nothing else on the page does, as their own is on file."""
        super().__init__(data, **options)
        if not asks_consent:
            del self.fields["new_consent"]
        live = Proxy.objects.live().filter(user=user).select_related("patient").order_by("patient__name")
        self.user, self.people = user, {str(each.patient.uuid): each.patient for each in live}
        self.fields["who"].choices = [  # type: ignore[attr-defined]
            (ME, _("Myself")),
            *((key, patient.name) for key, patient in self.people.items()),
            (NEW, _("A child or somebody else I care for")),
        ]

    @property
    def options(self) -> list[tuple[str, Any, bool]]:
        chosen = self["who"].value() or ME
        return [(value, label, value == chosen) for value, label in self.fields["who"].choices]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("who") != NEW:
            return given
        for name in (each for each in self.fields if each != "who"):
            if not given.get(name) and name not in self.errors:
                self.add_error(name, BOXES.get(name, _("This is needed.")))
        born = given.get("new_birth_date")
        today = timezone.localdate()
        if born and not today - dt.timedelta(days=366 * 130) < born <= today:
            self.add_error("new_birth_date", _("Please enter a date of birth."))
        elif born and given.get("new_relation") in OF_MINORS and is_of_age(born, today):
            self.add_error("new_relation", str(acts.NotAMinor.sentence))
        return given

    @property
    def boxes(self) -> list[forms.BoundField]:
        return [self[name] for name in BOXES if name in self.fields]

    @property
    def is_other(self) -> bool:
        return self.cleaned_data.get("who") not in ("", ME, None)

    @property
    def is_new(self) -> bool:
        return self.cleaned_data.get("who") == NEW

    def patient(self, contact: dict[str, str]) -> Patient:
        """Of somebody else. `contact` is how to reach who acts. Joins the caller's transaction."""
        given = self.cleaned_data
        if given["who"] != NEW:
            return self.people[given["who"]]
        details = {"name": given["new_name"], "birth_date": given["new_birth_date"]}
        reach = {field: contact[field] for field in ("email", "phone")}
        return acts.add_dependant(user=self.user, details=reach | details, relation=given["new_relation"])


def is_of_age(born: dt.date, today: dt.date) -> bool:
    return acts.years_between(born, today) >= acts.minor_until()


class GrantForm(forms.Form):
    """At the counter. The code proves the login of who is to act; a number or a birth date proves nothing."""

    relation = forms.ChoiceField(label=_("Relation to the patient"), choices=[*ASK, *Relation.choices])
    evidence = forms.ChoiceField(
        label=_("What you have seen"),
        choices=as_choices(
            Evidence.PATIENT_PRESENT,
            Evidence.BIRTH_CERTIFICATE,
            Evidence.COURT_ORDER,
            Evidence.POWER_OF_ATTORNEY,
            Evidence.OTHER,
        ),
    )
    code = forms.CharField(
        label=_("Code on the screen of who is to act"),
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
    )
    note = forms.CharField(
        label=_("Reason"),
        min_length=5,
        max_length=120,
        help_text=_("In a few words, without names or numbers of documents."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_note(self) -> str:
        note: str = self.cleaned_data["note"]
        if sum(each.isdigit() for each in note) >= 5:
            raise ValidationError(_("Please leave out numbers of documents and telephones."), code="number")
        return note


class InviteForm(forms.Form):
    relation = forms.ChoiceField(
        label=_("Who are they to you?"),
        choices=as_choices(*(each for each in DECLARABLE if each not in OF_MINORS), Relation.OTHER),
    )
    email = forms.EmailField(
        label=_("Their e-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text=_("They log in with this address to accept. The link is good for three days."),
    )
