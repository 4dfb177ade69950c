from django.urls import path

from scheduling import explain_views, waitlist_desk, waitlist_views

urlpatterns = [
    path("desk/<slug:clinic>/explain/", explain_views.explain, name="explain"),
    path("waitlist/join/", waitlist_views.join, name="join_waitlist"),
    path("waitlist/<int:pk>/", waitlist_views.show, name="waiting"),
    path("waitlist/<int:pk>/leaving/", waitlist_views.leave, name="leave_waitlist"),
    path("waitlist/offers/<int:pk>/", waitlist_views.offer, name="offer"),
    path("waitlist/offers/<int:pk>/acceptance/", waitlist_views.acceptance, name="accept_offer"),
    path("waitlist/offers/<int:pk>/declining/", waitlist_views.declining, name="decline_offer"),
    path("desk/<slug:clinic>/waitlist/", waitlist_desk.queue, name="desk_waitlist"),
    path("desk/<slug:clinic>/waitlist/new/", waitlist_desk.add, name="desk_wait"),
    path("desk/<slug:clinic>/waitlist/<int:pk>/", waitlist_desk.entry, name="desk_waiting"),
    path("desk/<slug:clinic>/waitlist/<int:pk>/change/", waitlist_desk.steer, name="desk_steer"),
    path("desk/<slug:clinic>/waitlist/<int:pk>/removal/", waitlist_desk.remove, name="desk_unwait"),
    path("desk/<slug:clinic>/waitlist/<int:pk>/offers/", waitlist_desk.offer, name="desk_offer"),
    path("desk/<slug:clinic>/offers/<int:pk>/withdrawal/", waitlist_desk.withdraw, name="desk_withdraw"),
]
