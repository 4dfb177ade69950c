from django.urls import path

from patients.retention import breach_views, office_views

urlpatterns = [
    path("retention/", office_views.rules, name="retention"),
    path("retention/<slug:data_class>/", office_views.rule, name="retention_rule"),
    path("retention/<slug:data_class>/<int:pk>/", office_views.review, name="retention_review"),
    path("holds/", office_views.legal_holds, name="legal_holds"),
    path("holds/<int:pk>/<slug:what>/", office_views.legal_hold, name="legal_hold_act"),
    path("vendors/", office_views.vendors, name="vendors"),
    path("vendors/new/", office_views.vendor, name="vendor_new"),
    path("vendors/<int:pk>/", office_views.vendor, name="vendor"),
    path("processing/", office_views.processing, name="processing"),
    path("backups/", office_views.backup_list, name="backups"),
    path("incidents/", breach_views.incidents, name="incidents"),
    path("incidents/new/", breach_views.edit, name="incident_new"),
    path("incidents/<int:pk>/", breach_views.incident, name="incident"),
    path("incidents/<int:pk>/facts/", breach_views.edit, name="incident_edit"),
    path("incidents/<int:pk>/people.csv", breach_views.people, name="incident_people"),
    path("incidents/<int:pk>/commission.txt", breach_views.facts, name="incident_facts"),
    path("incidents/<int:pk>/<slug:what>/", breach_views.act, name="incident_act"),
]
