from django.urls import path
from django.views.generic import TemplateView

from patients.privacy import NOTICE_VERSION
from scheduling import desk, views, visits, wizard

privacy = TemplateView.as_view(
    template_name="patients/privacy.html", extra_context={"notice_version": NOTICE_VERSION}
)
about = TemplateView.as_view(template_name="scheduling/help.html", extra_context={"nav": "help"})

urlpatterns = [
    path("", views.home, name="home"),
    path("book/", views.book, name="book"),
    path("holds/", views.holds, name="holds"),
    path("holds/<uuid:hold_id>/release/", views.release, name="release"),
    path("holds/<uuid:hold_id>/renewal/", views.renewal, name="renewal"),
    path("holds/<uuid:hold_id>/offers/", views.hold_offers, name="hold_offers"),
    path("bookings/<slug:reference>/", visits.show, name="booking"),
    path("bookings/<slug:reference>.ics", visits.calendar, name="booking_ics"),
    path("bookings/<slug:reference>/cancellation/", visits.cancellation, name="cancellation"),
    path("bookings/<slug:reference>/move/", visits.move, name="move"),
    path("plan/", wizard.plan, name="plan"),
    path("plan/holds/", wizard.hold_plan, name="plan_holds"),
    path("me/", visits.me, name="me"),
    path("privacy/", privacy, name="privacy"),
    path("help/", about, name="help"),
    path("desk/", desk.home, name="desk_home"),
    path("desk/<slug:clinic>/", desk.day, name="desk"),
    path("desk/<slug:clinic>/dataset.json", desk.dataset, name="desk_dataset"),
    path("desk/<slug:clinic>/bookings/<slug:reference>/", desk.booking, name="desk_booking"),
    path("desk/<slug:clinic>/plan/", wizard.desk_plan, name="desk_plan"),
    path("desk/<slug:clinic>/plan/holds/", wizard.desk_hold, name="desk_plan_holds"),
    path("desk/<slug:clinic>/plan/<uuid:hold_id>/", wizard.desk_checkout, name="desk_checkout"),
]
