from django.urls import include, path
from django.views.generic import TemplateView

from patients.privacy import NOTICE_VERSION
from scheduling import (
    answers,
    courses,
    desk,
    doctor,
    feeds,
    matching_views,
    screen,
    supply_views,
    views,
    visits,
    whole_visits,
    wizard,
)

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
    path("bookings/<slug:reference>/visit/", whole_visits.move, name="visit_move"),
    path("plan/", wizard.plan, name="plan"),
    path("plan/holds/", wizard.hold_plan, name="plan_holds"),
    path("bookings/<slug:reference>/answer/", answers.answer, name="answer"),
    path("bookings/<slug:reference>/new-time/", visits.new_time, name="new_time"),
    path("me/", visits.me, name="me"),
    path("", include("scheduling.waitlist_urls")),
    path("doctor/", doctor.home, name="doctor"),
    path("doctor/feed/", doctor.open_feed, name="doctor_feed"),
    path("doctor/feed/revocation/", doctor.revoke_feed, name="doctor_feed_revocation"),
    path("doctor/visits/<slug:reference>/completion/", doctor.completion, name="doctor_completion"),
    path("doctor/visits/<slug:reference>/notes/", doctor.notes, name="doctor_notes"),
    path("feeds/<str:secret>.ics", feeds.feed, name="feed"),
    path("screen/<slug:clinic>/", screen.screen, name="screen"),
    path("me/courses/<int:request_id>/planning/", courses.planning, name="course_planning"),
    path("privacy/", privacy, name="privacy"),
    path("help/", about, name="help"),
    path("", include("scheduling.desk_moves_urls")),
    path("", include("scheduling.desk_book_urls")),
    path("desk/", desk.home, name="desk_home"),
    path("desk/dataset.json", desk.datasets, name="desk_datasets"),
    path("desk/<slug:clinic>/", desk.day, name="desk"),
    path("desk/<slug:clinic>/dataset.json", desk.dataset, name="desk_dataset"),
    path("desk/<slug:clinic>/supply/", supply_views.overview, name="supply"),
    path("desk/<slug:clinic>/supply/new/<slug:what>/", supply_views.new, name="supply_new"),
    path("desk/<slug:clinic>/supply/hours/<int:pk>/", supply_views.hours, name="supply_hours"),
    path("desk/<slug:clinic>/supply/hours/<int:pk>/end/", supply_views.end_hours, name="supply_end_hours"),
    path(
        "desk/<slug:clinic>/supply/exceptions/<int:pk>/removal/", supply_views.removal, name="supply_removal"
    ),
    path("desk/<slug:clinic>/supply/plans/<int:pk>/", supply_views.plan, name="supply_plan"),
    path(
        "desk/<slug:clinic>/supply/plans/<int:pk>/application/",
        supply_views.application,
        name="supply_application",
    ),
    path("desk/<slug:clinic>/supply/plans/<int:pk>/discard/", supply_views.discard, name="supply_discard"),
    path("desk/<slug:clinic>/supply/visits/<slug:reference>/", supply_views.visit, name="supply_visit"),
    path("desk/<slug:clinic>/supply/proposals/<int:pk>/", supply_views.proposal, name="supply_proposal"),
    path("desk/<slug:clinic>/bookings/<slug:reference>/", desk.booking, name="desk_booking"),
    path("desk/<slug:clinic>/plan/", wizard.desk_plan, name="desk_plan"),
    path("desk/<slug:clinic>/plan/holds/", wizard.desk_hold, name="desk_plan_holds"),
    path("desk/<slug:clinic>/plan/<uuid:hold_id>/", wizard.desk_checkout, name="desk_checkout"),
    path("desk/<slug:clinic>/", include("scheduling.desk_work_urls")),
    path("desk/<slug:clinic>/", include("scheduling.desk_day_urls")),
    path("desk/<slug:clinic>/unmatched/", matching_views.index, name="unmatched"),
    path("desk/<slug:clinic>/unmatched/plan/", matching_views.plan_all, name="unmatched_plan"),
    path("desk/<slug:clinic>/unmatched/state/", matching_views.state, name="unmatched_state"),
    path("desk/<slug:clinic>/unmatched/<int:request_id>/", matching_views.find_time, name="unmatched_time"),
]
