"""Every address, and what each visitor gets there: the table that tests/access/test_table.py tries, line by line.

    >  is led to the login (or to the confirmation that it is they)
    .  does not exist for them (404)
    x  is refused (403)
    +  gets in: sees it; or may do it, though what the test sends may be refused as it stands
    -  nothing is done this way (405)

First for looking (GET), then for acting (POST). The letters: Anonymous; Guest, whose browser was given the visit and a
time; Patient of the visit; Other patient | Caregiver, who acts for the patient; eX-caregiver, whose part has ended |
Receptionist, Nurse, Doctor, Manager, Finance of the clinic | receptionist Elsewhere | Privacy officer, system
Administrator.

A new address needs its line: write what should be, not what is. Where rows are needed, tests/access/world.py has one of
each kind.
"""

import re

TABLE = """
#                            AGPO CX RNDMF E PA   AGPO CX RNDMF E PA
# The door: login, account, second factor
login                        ++++ ++ +++++ + ++   ++++ ++ +++++ + ++
code_login                   >>>> >> >>>>> > >>   >>>> >> >>>>> > >>
login_second                 >>>> >> >>>>> > >>   >>>> >> >>>>> > >>
login_setup                  >>>> >> >>>>> > >>   >>>> >> >>>>> > >>
login_switch                 >>++ ++ +++++ + ++   >>++ ++ +++++ + ++
switch_lock                  ---- -- ----- - --   >>>> >> >>>>> > >>
logout                       ---- -- ----- - --   ++++ ++ +++++ + ++
passkey_options              ---- -- ----- - --   ++++ ++ +++++ + ++
new_passkey_options          ---- -- ----- - --   xx++ ++ +++++ + ++
session                      ++++ ++ +++++ + ++   ++++ ++ +++++ + ++
step_up                      >>++ ++ +++++ + ++   >>++ ++ +++++ + ++
step_up_send                 >>-- -- ----- - --   >>>> >> >>>>> > >>
account                      >>++ ++ +++++ + ++   >>-- -- ----- - --
add_passkey                  >>-- -- ----- - --   >>++ ++ +++++ + ++
remove_way                   >>-- -- ----- - --   >>.. .. ..... . ..
account_app                  >>++ ++ +++++ + ++   >>++ ++ +++++ + ++
recovery_codes               >>-- -- ----- - --   >>++ ++ +++++ + ++
change_password              >>++ ++ +++++ + ++   >>++ ++ +++++ + ++
log_out_everywhere           >>-- -- ----- - --   >>++ ++ +++++ + ++
oidc_authentication_init     ++++ ++ +++++ + ++   ---- -- ----- - --
oidc_authentication_callback ++++ ++ +++++ + ++   ---- -- ----- - --
singpass_failed              ++++ ++ +++++ + ++   ---- -- ----- - --
singpass_jwks                .... .. ..... . ..   ---- -- ----- - --
singpass_details             >>++ ++ +++++ + ++   >>++ ++ +++++ + ++
singpass_account             >>++ ++ +++++ + ++   >>-- -- ----- - --
singpass_code                >>-- -- ----- - --   >>xx xx xxxxx x xx
singpass_removal             >>-- -- ----- - --   >>++ ++ +++++ + ++

# Everybody's pages
set_language                 ++++ ++ +++++ + ++   ++++ ++ +++++ + ++
privacy                      ++++ ++ +++++ + ++   ---- -- ----- - --
privacy_complaint            ++++ ++ +++++ + ++   ++++ ++ +++++ + ++
data_copy                    .... .. ..... . ..   ---- -- ----- - --
code_for_copy                ---- -- ----- - --   .... .. ..... . ..
code_copy_file               ---- -- ----- - --   .... .. ..... . ..
stop_messages                .... .. ..... . ..   .... .. ..... . ..
home                         ++++ ++ +++++ + ++   ---- -- ----- - --
book                         ++++ ++ +++++ + ++   ---- -- ----- - --
holds                        ---- -- ----- - --   ++++ ++ +++++ + ++
plan                         ++++ ++ +++++ + ++   ---- -- ----- - --
plan_holds                   ---- -- ----- - --   ++++ ++ +++++ + ++
join_waitlist                .... .. ..... . ..   ++++ ++ +++++ + ++
feed                         .... .. ..... . ..   ---- -- ----- - --
screen                       ++++ ++ +++++ + ++   ---- -- ----- - --
help                         ++++ ++ +++++ + ++   ---- -- ----- - --

# From machines
message_report               ---- -- ----- - --   xxxx xx xxxxx x xx
stripe_webhook               ---- -- ----- - --   ++++ ++ +++++ + ++

# The patient's own
claim_booking                >>+. +. ++++. . ..   >>+. +. ++++. . ..
claim_record                 >>-- -- ----- - --   >>.. .. ..... . ..
my_people                    >>++ ++ +++++ + ++   >>++ .. ..... . ..
people_code                  >>-- -- ----- - --   >>++ ++ xxxxx x xx
people_end                   >>-- -- ----- - --   >>.. .. ..... . ..
people_invitation            >>.. .. ..... . ..   >>.. .. ..... . ..
identity                     >>+. +. ..... . ..   >>+. +. ..... . ..
my_privacy                   >>++ .. ..... . ..   >>-- -- ----- - --
my_data                      >>++ .. ..... . ..   >>-- -- ----- - --
my_copies                    >>++ .. ..... . ..   >>.. .. ..... . ..
my_accesses                  >>++ .. ..... . ..   >>-- -- ----- - --
my_consent                   >>++ .. ..... . ..   >>++ .. ..... . ..
my_details                   >>++ .. ..... . ..   >>++ .. ..... . ..
code_new_email               >>++ .. ..... . ..   >>++ .. ..... . ..
ask_privacy                  >>++ .. ..... . ..   >>++ .. ..... . ..
my_messages                  >>++ .. ..... . ..   >>++ .. ..... . ..
me                           >>++ ++ +++++ + ++   >>-- -- ----- - --
course_planning              >>-- -- ----- - --   >>+. +. ..... . ..
my_bills                     >>++ ++ +++++ + ++   >>-- -- ----- - --
my_contract_pay              >>-- -- ----- - --   >>.. .. ..... . ..
my_contract                  >>.. .. ..... . ..   >>-- -- ----- - --

# A visit, a held time, a place in line, a bill: of whom it is, and of the staff
release                      ---- -- ----- - --   .+.. .. ..... . ..
renewal                      ---- -- ----- - --   .+.. .. ..... . ..
hold_offers                  .+.. .. ..... . ..   ---- -- ----- - --
booking                      .++. +. ++++. . ..   ---- -- ----- - --
booking_ics                  .++. +. ++++. . ..   ---- -- ----- - --
cancellation                 .++. +. +xx+. . ..   .++. +. +xx+. . ..
move                         ---- -- ----- - --   .++. +. +xx+. . ..
visit_move                   .++. +. +xx+. . ..   .++. +. +xx+. . ..
answer                       .++. +. +xx+. . ..   .++. +. +xx+. . ..
new_time                     .++. +. +xx+. . ..   .++. +. +xx+. . ..
waiting                      .++. +. ..... . ..   ---- -- ----- - --
leave_waitlist               ---- -- ----- - --   .++. +. ..... . ..
offer                        .++. +. ..... . ..   ---- -- ----- - --
accept_offer                 ---- -- ----- - --   .++. +. ..... . ..
decline_offer                ---- -- ----- - --   .++. +. ..... . ..
checkout                     .+.. .. ..... . ..   ---- -- ----- - --
checkout_payment             .+.. .. ..... . ..   .+.. .. ..... . ..
checkout_status              .+.. .. ..... . ..   .+.. .. ..... . ..
pay_link                     .... .. ..... . ..   ---- -- ----- - --
pay_link_payment             ---- -- ----- - --   .... .. ..... . ..
pay_link_status              .... .. ..... . ..   ---- -- ----- - --
bill                         .++. +. +.+++ . ..   ---- -- ----- - --
bill_pdf                     .++. +. +.+++ . ..   ---- -- ----- - --
credit_note                  .... .. ..... . ..   ---- -- ----- - --
credit_note_pdf              .... .. ..... . ..   ---- -- ----- - --

# The practitioner's own day
doctor                       >>.. .. ..+.. . ..   >>-- -- ----- - --
doctor_feed                  >>-- -- ----- - --   >>.. .. ..+.. . ..
doctor_feed_revocation       >>-- -- ----- - --   >>.. .. ..+.. . ..
doctor_completion            >>-- -- ----- - --   >>.. .. ..+.. . ..
doctor_notes                 >>-- -- ----- - --   >>.. .. ..+.. . ..

# Privacy: retention, holds, incidents, vendors
retention                    >>.. .. ..... . +.   >>-- -- ----- - --
processing                   >>.. .. ..... . +.   >>-- -- ----- - --
backups                      >>.. .. ..... . +.   >>-- -- ----- - --
vendors                      >>.. .. ..... . +.   >>-- -- ----- - --
incidents                    >>.. .. ..... . +.   >>-- -- ----- - --
legal_holds                  >>.. .. ..... . ++   >>.. .. ..... . ++
vendor_new                   >>.. .. ..... . +.   >>.. .. ..... . +.
incident_new                 >>.. .. ..... . +.   >>.. .. ..... . +.
retention_rule               >>.. .. ..... . ..   >>.. .. ..... . ..
vendor                       >>.. .. ..... . +.   >>.. .. ..... . +.
incident_edit                >>.. .. ..... . +.   >>.. .. ..... . +.
retention_review             >>-- -- ----- - --   >>.. .. ..... . +.
legal_hold_act               >>-- -- ----- - --   >>.. .. ..... . ..
incident_act                 >>-- -- ----- - --   >>.. .. ..... . ..
incident                     >>.. .. ..... . ..   >>-- -- ----- - --
incident_people              >>.. .. ..... . ..   >>-- -- ----- - --
incident_facts               >>.. .. ..... . ..   >>-- -- ----- - --

# Privacy: office, audit, records opened with a reason
audit                        >>.. .. ..... . +.   >>-- -- ----- - --
audit_csv                    >>.. .. ..... . +.   >>-- -- ----- - --
audit_review                 >>.. .. ..... . +.   >>-- -- ----- - --
desk_audit                   >>.. .. ...+. . +.   >>-- -- ----- - --
desk_audit_csv               >>.. .. ...+. . +.   >>-- -- ----- - --
desk_audit_review            >>.. .. ...+. . +.   >>-- -- ----- - --
audit_alert                  >>-- -- ----- - --   >>.. .. ..... . ..
privacy_office               >>.. .. ..... . +.   >>.. .. ..... . -.
privacy_request_new          >>.. .. ..... . +.   >>.. .. ..... . +.
privacy_request              >>.. .. ..... . ..   >>.. .. ..... . -.
privacy_number               >>.. .. ..... . -.   >>.. .. ..... . ..
privacy_request_act          >>.. .. ..... . -.   >>.. .. ..... . ..
confidential_records         >>.. .. ...+. . +.   >>-- -- ----- - --
confidential_record          >>.. .. ...+. . +.   >>.. .. ...+. . +.
confidential_opening         >>-- -- ----- - --   >>.. .. +++++ . ..
many_records                 >>.. .. +++++ + ++   >>.. .. +++++ + ++
glass_reviews                >>.. .. ...+. . +.   >>-- -- ----- - --
glass_review                 >>-- -- ----- - --   >>.. .. ...+. . +.
glass                        >>.. .. ++++. . ..   >>.. .. ++++. . ..
glass_record                 >>.. .. +.... . ..   >>-- -- ----- - --

# Money
desk_bill                    >>-- -- ----- - --   >>.. .. +..+. . ..
desk_counter                 >>-- -- ----- - --   >>.. .. +..++ . ..
desk_counter_return          >>-- -- ----- - --   >>.. .. +..++ . ..
desk_waiver                  >>-- -- ----- - --   >>.. .. +..++ . ..
work_money_back              >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_pay_link                >>-- -- ----- - --   >>.. .. +..++ . ..
desk_refund                  >>.. .. +..++ . ..   >>.. .. +..++ . ..
desk_money                   >>.. .. +.+++ . ..   >>-- -- ----- - --
desk_close                   >>-- -- ----- - --   >>.. .. +.x++ . ..
desk_money_lists             >>.. .. ...++ . ..   >>-- -- ----- - --
desk_settle                  >>-- -- ----- - --   >>.. .. ..... . ..
desk_ledger                  >>.. .. ...++ . ..   >>-- -- ----- - --
desk_ledger_csv              >>.. .. ...++ . ..   >>-- -- ----- - --

# Contracts
contracts                    >>.. .. +.+++ . ..   >>.. .. -.x-x . ..
contract_new                 >>.. .. +.x+x . ..   >>.. .. +.x+x . ..
contract                     >>.. .. +.+++ . ..   >>.. .. -.x-x . ..
contract_details             >>.. .. +.x+x . ..   >>.. .. +.x+x . ..
contract_line_new            >>.. .. +.x+x . ..   >>.. .. +.x+x . ..
contract_line                >>.. .. +.x+x . ..   >>.. .. +.x+x . ..
contract_line_removal        >>.. .. -.--- . ..   >>.. .. +.x+x . ..
contract_rules               >>.. .. ..x.x . ..   >>.. .. ..x.x . ..
contract_confirmation        >>.. .. -.--- . ..   >>.. .. +.x+x . ..
contract_planning            >>.. .. -.--- . ..   >>.. .. +.x+x . ..
contract_cancellation        >>.. .. +.x+x . ..   >>.. .. +.x+x . ..
contract_settlement          >>.. .. +.+++ . ..   >>.. .. -.x-x . ..
contract_plan                >>.. .. +.x++ . ..   >>.. .. +.x++ . ..
contract_part                >>.. .. ..x.. . ..   >>.. .. ..x.. . ..
contract_counter             >>.. .. -.x-- . ..   >>.. .. ..x.. . ..
contract_return              >>.. .. -.x-- . ..   >>.. .. ..x.. . ..
contract_pay_link            >>.. .. -.x-- . ..   >>.. .. ..x.. . ..

# Hours and plans
desk_block                   >>.. .. +xx+. . ..   >>.. .. +xx+. . ..
desk_unblock                 >>.. .. +xx+. . ..   >>.. .. +xx+. . ..
desk_unextra                 >>-- -- ----- - --   >>.. .. +xx+. . ..
supply                       >>.. .. ++++. . ..   >>-- -- ----- - --
supply_new                   >>.. .. ++++. . ..   >>.. .. +xx+. . ..
supply_hours                 >>.. .. ++++. . ..   >>.. .. +xx+. . ..
supply_end_hours             >>.. .. ++++. . ..   >>.. .. +xx+. . ..
supply_removal               >>-- -- ----- - --   >>.. .. +xx+. . ..
supply_plan                  >>.. .. ++++. . ..   >>-- -- ----- - --
supply_application           >>-- -- ----- - --   >>.. .. +xx+. . ..
supply_discard               >>-- -- ----- - --   >>.. .. +xx+. . ..
supply_visit                 >>.. .. ++++. . ..   >>.. .. +xx+. . ..
supply_proposal              >>.. .. ..... . ..   >>.. .. .xx.. . ..

# The desk
desk_people                  >>.. .. ++++. . ..   >>.. .. +xx+. . ..
desk_people_check            >>-- -- ----- - --   >>.. .. .xx.. . ..
desk_people_end              >>-- -- ----- - --   >>.. .. .xx.. . ..
desk_singpass                >>.. .. ++++. . ..   >>.. .. +xx+. . ..
desk_singpass_removal        >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_confirm                 >>-- -- ----- - --   >>.. .. ..x.. . ..
desk_privacy_request         >>.. .. ++++. . ..   >>.. .. ++x+. . ..
desk_identity                >>.. .. ++.+. . ..   >>.. .. ++.+. . ..
desk_identity_number         >>-- -- ----- - --   >>.. .. ..... . ..
explain                      >>.. .. ++++. . ..   >>-- -- ----- - --
desk_waitlist                >>.. .. ++++. . ..   >>-- -- ----- - --
desk_wait                    >>.. .. ++++. . ..   >>.. .. +xx+. . ..
desk_waiting                 >>.. .. ++++. . ..   >>-- -- ----- - --
desk_steer                   >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_unwait                  >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_offer                   >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_withdraw                >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_move                    >>.. .. +xx+. . ..   >>.. .. +xx+. . ..
desk_targets                 >>.. .. +xx+. . ..   >>-- -- ----- - --
desk_undo                    >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_cancel                  >>.. .. +xx+. . ..   >>.. .. +xx+. . ..
desk_book                    >>.. .. +..+. . ..   >>.. .. +..+. . ..
desk_book_patients           >>.. .. +..+. . ..   >>.. .. +..+. . ..
desk_book_parts              >>.. .. +..+. . ..   >>-- -- ----- - --
desk_book_hold               >>-- -- ----- - --   >>.. .. +..+. . ..
desk_book_release            >>-- -- ----- - --   >>.. .. ..... . ..
desk_overbook                >>.. .. ...+. . ..   >>.. .. ...+. . ..
desk_home                    >>.. .. +++++ + ++   >>-- -- ----- - --
desk_datasets                >>.. .. ++++. + ..   >>-- -- ----- - --
desk                         >>.. .. ++++. . ..   >>-- -- ----- - --
desk_dataset                 >>.. .. ++++. . ..   >>-- -- ----- - --
desk_booking                 >>.. .. ++++. . ..   >>-- -- ----- - --
desk_plan                    >>.. .. +xx+. . ..   >>.. .. +xx+. . ..
desk_plan_holds              >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_checkout                >>.. .. ..... . ..   >>.. .. .xx.. . ..
desk_work                    >>.. .. ++++. . ..   >>-- -- ----- - --
desk_work_count              >>.. .. ++++. . ..   >>-- -- ----- - --
work_note_done               >>-- -- ----- - --   >>.. .. +xx+. . ..
work_message_retry           >>-- -- ----- - --   >>.. .. +xx+. . ..
work_message_phone           >>-- -- ----- - --   >>.. .. +xx+. . ..
work_offer_withdrawal        >>-- -- ----- - --   >>.. .. +xx+. . ..
work_contact                 >>-- -- ----- - --   >>.. .. +xx+. . ..
work_contact_apart           >>-- -- ----- - --   >>.. .. +xx+. . ..
work_contact_no_email        >>-- -- ----- - --   >>.. .. +xx+. . ..
desk_report                  >>.. .. ...+. . ..   >>-- -- ----- - --
desk_report_csv              >>.. .. ...+. . ..   >>-- -- ----- - --
desk_queue                   >>.. .. ++++. . ..   >>-- -- ----- - --
visit_act                    >>-- -- ----- - --   >>.. .. ++x+. . ..
walk_in_act                  >>-- -- ----- - --   >>.. .. ++x+. . ..
visit_ticket                 >>.. .. ++++. . ..   >>-- -- ----- - --
unmatched                    >>.. .. ++++. . ..   >>-- -- ----- - --
unmatched_plan               >>-- -- ----- - --   >>.. .. +xx+. . ..
unmatched_state              >>.. .. ++++. . ..   >>-- -- ----- - --
unmatched_time               >>-- -- ----- - --   >>.. .. +xx+. . ..
"""

# By sockets: `+` is connected, `x` is refused.
SOCKETS = """
ws/availability/             ++++ ++ +++++ + ++
ws/clinics/                  xxxx xx ++++x x xx
"""

# Pages of Django's admin that the system administrator gets; nobody else passes its door. What has patients is missing.
ADMIN = """
clinic_booking: user event messagetemplate parked reader
procrastinate: procrastinatejob
scheduling: legalentity clinic station walkingtime equipment practitioner service membership calendarfeed reminderrule
scheduling: scheduletemplate scheduleexception
billing: gstrate
"""

# Asked by machines that watch over the service, without a login.
PROBES = {"healthz", "readyz", "metrics"}


def rows(text):
    """Section -> name -> the columns without their gaps."""
    found, section = {}, ""
    for line in text.splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif line and line[0] != "#":
            name, *columns = re.split(r"\s{2,}", line)
            if len(columns) == 1 and len(name.split()) > 1:  # a name as long as its column
                name, first = name.split(maxsplit=1)
                columns = [first, *columns]
            found.setdefault(section, {})[name] = [column.replace(" ", "") for column in columns]
    return found
