from django.urls import path

from scheduling import desk_report, desk_work

urlpatterns = [
    path("work/", desk_work.index, name="desk_work"),
    path("work/count/", desk_work.count, name="desk_work_count"),
    path("work/notes/<int:pk>/done/", desk_work.tick, name="work_note_done"),
    path("work/messages/<int:pk>/retry/", desk_work.retry, name="work_message_retry"),
    path("work/messages/<int:pk>/phone/", desk_work.told, name="work_message_phone"),
    path("work/offers/<int:pk>/withdrawal/", desk_work.withdraw, name="work_offer_withdrawal"),
    path("work/contacts/<int:pk>/", desk_work.contact, name="work_contact"),
    path("work/contacts/<int:pk>/apart/<int:other>/", desk_work.apart, name="work_contact_apart"),
    path("work/contacts/<int:pk>/no-email/", desk_work.no_email, name="work_contact_no_email"),
    path("report/", desk_report.index, name="desk_report"),
    path("report.csv", desk_report.download, name="desk_report_csv"),
]
