from django.urls import include, path

from billing import (
    books_views,
    closing_views,
    contract_money_views,
    contract_portal,
    contract_views,
    desk_fees,
    desk_views,
    document_views,
    link_views,
    views,
    webhooks,
)

contracts = [
    path("", contract_views.index, name="contracts"),
    path("new/", contract_views.new, name="contract_new"),
    path("<slug:reference>/", contract_views.show, name="contract"),
    path("<slug:reference>/details/", contract_views.details, name="contract_details"),
    path("<slug:reference>/lines/new/", contract_views.line, name="contract_line_new"),
    path("<slug:reference>/lines/<int:line_id>/", contract_views.line, name="contract_line"),
    path(
        "<slug:reference>/lines/<int:line_id>/removal/", contract_views.removal, name="contract_line_removal"
    ),
    path("<slug:reference>/lines/<int:line_id>/rules/", contract_views.rules, name="contract_rules"),
    path("<slug:reference>/confirmation/", contract_views.confirmation, name="contract_confirmation"),
    path("<slug:reference>/planning/", contract_views.planning, name="contract_planning"),
    path("<slug:reference>/cancellation/", contract_views.cancellation, name="contract_cancellation"),
    path("<slug:reference>/settlement/", contract_money_views.settlement, name="contract_settlement"),
    path("<slug:reference>/instalments/", contract_money_views.plan, name="contract_plan"),
    path("<slug:reference>/instalments/<int:number>/", contract_money_views.part, name="contract_part"),
    path("<slug:reference>/bills/<int:bill_id>/counter/", contract_money_views.take, name="contract_counter"),
    path(
        "<slug:reference>/bills/<int:bill_id>/return/", contract_money_views.give_back, name="contract_return"
    ),
    path(
        "<slug:reference>/bills/<int:bill_id>/pay-link/", contract_money_views.send, name="contract_pay_link"
    ),
]

money = [
    path("", closing_views.day, name="desk_money"),
    path("closes/", closing_views.close, name="desk_close"),
    path("lists/", books_views.lists, name="desk_money_lists"),
    path("lists/<uuid:payment_id>/settlement/", books_views.settle, name="desk_settle"),
    path("ledger/", books_views.ledger, name="desk_ledger"),
    path("ledger.csv", books_views.download, name="desk_ledger_csv"),
]

urlpatterns = [
    path("checkout/<uuid:hold_id>/", views.checkout, name="checkout"),
    path("checkout/<uuid:hold_id>/payment/", views.pay, name="checkout_payment"),
    path("checkout/<uuid:hold_id>/status/", views.status, name="checkout_status"),
    path("pay/<str:token>/", link_views.page, name="pay_link"),
    path("pay/<str:token>/payment/", link_views.pay, name="pay_link_payment"),
    path("pay/<str:token>/status/", link_views.status, name="pay_link_status"),
    path("desk/<slug:clinic>/bookings/<slug:reference>/bill/", desk_views.issue, name="desk_bill"),
    path("desk/<slug:clinic>/bills/<int:bill_id>/counter/", desk_views.take, name="desk_counter"),
    path(
        "desk/<slug:clinic>/bills/<int:bill_id>/counter/return/",
        desk_views.give_back,
        name="desk_counter_return",
    ),
    path("desk/<slug:clinic>/bookings/<slug:reference>/waiver/", desk_fees.waive, name="desk_waiver"),
    path("desk/<slug:clinic>/work/money-back/<int:pk>/", desk_fees.return_money, name="work_money_back"),
    path("desk/<slug:clinic>/bills/<int:bill_id>/pay-link/", desk_views.send, name="desk_pay_link"),
    path("desk/<slug:clinic>/bills/<int:bill_id>/refund/", desk_views.refund, name="desk_refund"),
    path("me/bills/", document_views.mine, name="my_bills"),
    path("me/bills/<int:pk>/payment/", contract_portal.pay, name="my_contract_pay"),
    path("me/contracts/<slug:reference>/", contract_portal.show, name="my_contract"),
    path("bills/<int:pk>/", document_views.bill, name="bill"),
    path("bills/<int:pk>.pdf", document_views.bill, {"as_pdf": True}, name="bill_pdf"),
    path("credit-notes/<int:pk>/", document_views.credit_note, name="credit_note"),
    path("credit-notes/<int:pk>.pdf", document_views.credit_note, {"as_pdf": True}, name="credit_note_pdf"),
    path("stripe/webhook/", webhooks.receive, name="stripe_webhook"),
    path("desk/<slug:clinic>/contracts/", include(contracts)),
    path("desk/<slug:clinic>/money/", include(money)),
]
