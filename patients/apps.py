from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PatientsConfig(AppConfig):
    name = "patients"
    audit_keeps = {
        "patients_patient": [
            "name",
            "email",
            "phone",
            "birth_date",
            "gender",
            "masked_id",
            "language",
            "confidentiality",
            "user_id",
        ]
    }
    audit_unwatched = {"patients_patientclinic"}  # kept by triggers of what is watched

    def ready(self) -> None:
        from patients import confidential, jobs, topics  # noqa: F401  (register what they hold)
        from patients.proxies import news  # noqa: F401
        from patients.retention import erase, letters  # noqa: F401  (what it takes away, and a kind of message)
        from patients.rights import erasure, notices, own_parts  # noqa: F401
        from patients.singpass import checks, notices_of_links  # noqa: F401

        post_migrate.connect(notices.publish_shipped, sender=self)
