from django.urls import path

from clinic_booking.accounts import (
    account_views,
    confirm_views,
    login_views,
    passkey_views,
    second_views,
    session_views,
    switch_views,
)

urlpatterns = [
    path("login/", login_views.login, name="login"),
    path("login/code/", login_views.code, name="code_login"),
    path("login/second/", second_views.second, name="login_second"),
    path("login/setup/", second_views.set_up, name="login_setup"),
    path("login/switch/", switch_views.switch, name="login_switch"),
    path("login/switch/lock/", switch_views.lock, name="switch_lock"),
    path("logout/", login_views.logout, name="logout"),
    path("passkey/options/", passkey_views.options, name="passkey_options"),
    path("passkey/new/options/", second_views.new_passkey_options, name="new_passkey_options"),
    path("session/", session_views.left, name="session"),
    path("step-up/", confirm_views.confirm, name="step_up"),
    path("step-up/code/", confirm_views.send, name="step_up_send"),
    path("account/", account_views.account, name="account"),
    path("account/passkeys/", account_views.add_passkey, name="add_passkey"),
    path("account/ways/<int:pk>/removal/", account_views.remove, name="remove_way"),
    path("account/app/", account_views.app, name="account_app"),
    path("account/recovery-codes/", account_views.recovery_codes, name="recovery_codes"),
    path("account/password/", account_views.password, name="change_password"),
    path("account/log-out-everywhere/", account_views.log_out_everywhere, name="log_out_everywhere"),
]
