from django.urls import include, path

from patients import confidential_views, identity_views, views
from patients.proxies import views as people
from patients.singpass import account_views as singpass_account
from patients.singpass import views as singpass

urlpatterns = [
    path("", include("patients.rights.urls")),
    path("privacy-office/", include("patients.retention.urls")),
    path("confidential/", confidential_views.records, name="confidential_records"),
    path("confidential/<uuid:patient>/", confidential_views.record, name="confidential_record"),
    path("confidential/<uuid:patient>/opening/", confidential_views.opening, name="confidential_opening"),
    path("me/people/", people.people, name="my_people"),
    path("me/people/code/", people.code, name="people_code"),
    path("me/people/<int:pk>/end/", people.ending, name="people_end"),
    path("me/people/invitations/<str:token>/", people.invitation, name="people_invitation"),
    path("me/messages/", views.my_messages, name="my_messages"),
    path("me/identity/<uuid:patient>/", identity_views.prepare, name="identity"),
    path("messages/stop/<str:token>/", views.stop_messages, name="stop_messages"),
    path("oidc/authenticate/", singpass.Start.as_view(), name="oidc_authentication_init"),
    path("oidc/callback/", singpass.Callback.as_view(), name="oidc_authentication_callback"),
    path("oidc/failed/", singpass.failed, name="singpass_failed"),
    path(".well-known/jwks.json", singpass.jwks, name="singpass_jwks"),
    path("me/details/", singpass_account.details, name="singpass_details"),
    path("me/singpass/", singpass_account.account, name="singpass_account"),
    path("me/singpass/code/", singpass_account.code, name="singpass_code"),
    path("me/singpass/removal/", singpass_account.removal, name="singpass_removal"),
]
