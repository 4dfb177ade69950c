from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "patients"
    audit_keeps = {
        "patients_patient": ["name", "email", "phone", "birth_date", "masked_id", "language", "user_id"]
    }
    audit_unwatched = {"patients_patientclinic"}  # kept by triggers of what is watched

    def ready(self) -> None:
        from patients import jobs, topics  # noqa: F401  (register what they hold)
        from patients.retention import erase  # noqa: F401  (what it takes away)
        from patients.singpass import checks  # noqa: F401
