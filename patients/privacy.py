"""The privacy notice that patients agree to. A change of its text is a new version (templates/patients/privacy.html)."""

NOTICE_VERSION = "2026-01"
