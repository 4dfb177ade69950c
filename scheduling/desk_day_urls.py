from django.urls import path

from scheduling import desk_day

urlpatterns = [
    path("queue/", desk_day.queue, name="desk_queue"),
    path("bookings/<slug:reference>/acts/", desk_day.act, name="visit_act"),
    path("walk-ins/<int:pk>/<slug:act>/", desk_day.act_on_walk_in, name="walk_in_act"),
    path("visits/<int:pk>/", desk_day.ticket, name="visit_ticket"),
]
