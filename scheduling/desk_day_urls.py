from django.urls import path

from scheduling import desk_day, desk_details, desk_identity, desk_people, desk_singpass

urlpatterns = [
    path("queue/", desk_day.queue, name="desk_queue"),
    path("bookings/<slug:reference>/acts/", desk_day.act, name="visit_act"),
    path("bookings/<slug:reference>/check/", desk_details.confirm, name="desk_confirm"),
    path("privacy-requests/new/", desk_details.new_request, name="desk_privacy_request"),
    path("walk-ins/<int:pk>/<slug:act>/", desk_day.act_on_walk_in, name="walk_in_act"),
    path("patients/<uuid:patient>/identity/", desk_identity.check, name="desk_identity"),
    path(
        "patients/<uuid:patient>/identity/<uuid:pk>/number/",
        desk_identity.number,
        name="desk_identity_number",
    ),
    path("visits/<int:pk>/", desk_day.ticket, name="visit_ticket"),
    path("patients/<uuid:patient>/people/", desk_people.page, name="desk_people"),
    path("patients/<uuid:patient>/people/<int:pk>/check/", desk_people.check, name="desk_people_check"),
    path("patients/<uuid:patient>/people/<int:pk>/end/", desk_people.ending, name="desk_people_end"),
    path("patients/<uuid:patient>/singpass/", desk_singpass.page, name="desk_singpass"),
    path("patients/<uuid:patient>/singpass/removal/", desk_singpass.removal, name="desk_singpass_removal"),
]
