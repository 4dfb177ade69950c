import json

import pytest

from patients import consents


@pytest.fixture
def told(settings, tmp_path):
    """What went out by SMS and WhatsApp: rows of (channel, to, text)."""
    settings.MESSAGE_FILES = str(tmp_path)

    def read():
        files = sorted(tmp_path.glob("*.jsonl"))
        lines = [(file.stem, json.loads(line)) for file in files for line in file.read_text().splitlines()]
        return [(channel, line["to"], line["text"]) for channel, line in lines]

    return read


@pytest.fixture
def allow():
    def write(patient, **given):
        consents.record(patient_id=patient.pk, wanted=given, channel="web", by=None)

    return write
