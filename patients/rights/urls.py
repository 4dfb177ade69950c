from django.urls import path

from patients.rights import notice_views, office_views, views

urlpatterns = [
    path("privacy/", notice_views.privacy, name="privacy"),
    path("privacy/complaint/", views.complaint, name="privacy_complaint"),
    path("privacy/copies/<str:token>/", views.data_copy, name="data_copy"),
    path("privacy/copies/<str:token>/code/", views.code_for_copy, name="code_for_copy"),
    path("privacy/copies/<str:token>/file/", views.copy_file, name="code_copy_file"),
    path("me/privacy/", views.centre, name="my_privacy"),
    path("me/privacy/data/", views.data, name="my_data"),
    path("me/privacy/copies/", views.my_copies, name="my_copies"),
    path("me/privacy/accesses/", views.who_looked, name="my_accesses"),
    path("me/privacy/consents/<slug:purpose>/", views.consent, name="my_consent"),
    path("me/privacy/details/", views.details, name="my_details"),
    path("me/privacy/details/code/", views.new_email, name="code_new_email"),
    path("me/privacy/requests/", views.ask, name="ask_privacy"),
    path("privacy-office/", office_views.index, name="privacy_office"),
    path("privacy-office/requests/new/", office_views.new, name="privacy_request_new"),
    path("privacy-office/requests/<int:pk>/", office_views.show, name="privacy_request"),
    path(
        "privacy-office/requests/<int:pk>/numbers/<uuid:identifier>/",
        office_views.number,
        name="privacy_number",
    ),
    path("privacy-office/requests/<int:pk>/<slug:what>/", office_views.act, name="privacy_request_act"),
]
