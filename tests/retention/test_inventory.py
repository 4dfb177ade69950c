from clinic_booking.retention import inventory
from clinic_booking.retention.models import DataClass


def test_every_field_is_tagged():
    """Where this fails, the sentence says what to add to clinic_booking/retention/inventory.toml."""
    assert inventory.problems() == []


def test_retention_is_a_class_of_the_schedule():
    assert {each.retention for each in inventory.entries()} <= {*DataClass.values, "none"}


def test_untagged_field_is_said_with_how_to_tag_it(monkeypatch):
    less = {k: v for k, v in inventory.tags().items() if k != "patients.Patient"}
    monkeypatch.setattr(inventory, "tags", lambda: less)
    [sentence] = inventory.problems()
    assert sentence.startswith('patients.Patient is not tagged: add ["patients.Patient"] with purpose')


def test_csv_has_a_line_for_each():
    lines = inventory.as_csv().splitlines()
    assert lines[0] == "model,field,label,data,purpose,retention"
    assert any(line.startswith("patients.Patient,email,e-mail,contact,") for line in lines)
