from django.urls import path

from scheduling import desk_book as book
from scheduling import desk_overbook as overbook

urlpatterns = [
    path("desk/<slug:clinic>/book/", book.book, name="desk_book"),
    path("desk/<slug:clinic>/book/patients/", book.patients, name="desk_book_patients"),
    path("desk/<slug:clinic>/book/parts/", book.parts, name="desk_book_parts"),
    path("desk/<slug:clinic>/book/holds/", book.hold, name="desk_book_hold"),
    path("desk/<slug:clinic>/book/holds/<uuid:hold_id>/release/", book.let_go, name="desk_book_release"),
    path("desk/<slug:clinic>/overbook/", overbook.page, name="desk_overbook"),
]
