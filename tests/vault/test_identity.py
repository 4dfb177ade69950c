import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patients import identity
from patients.identity import BadNumber, Kind, parse
from tests.vault.keys import number

series = st.sampled_from("STFGM")
seven = st.text("0123456789", min_size=7, max_size=7)


@given(series, seven, st.sampled_from(["", " ", "-", " . "]), st.booleans())
def test_true_number_is_read_however_it_is_written(letter, digits, between, small):
    true = number(letter, digits)
    written = between.join(true[i : i + 3] for i in range(0, 9, 3))
    read = parse(Kind.NRIC, f" {written.lower() if small else written} ")
    assert (read.value, read.country) == (true, "SG")
    assert read.kind == (Kind.NRIC if letter in "ST" else Kind.FIN)
    assert read.indexed == parse(Kind.FIN, true).indexed
    assert identity.masked(read.ending) == f"•••••{true[-4:]}"
    assert true not in repr(read) + str(read)


@given(series, seven, st.data())
def test_one_wrong_character_is_noticed(letter, digits, data):
    true = number(letter, digits)
    at = data.draw(st.integers(1, 7))
    wrong = data.draw(st.sampled_from([d for d in "0123456789" if d != true[at]]))
    with pytest.raises(BadNumber) as refused:
        parse(Kind.NRIC, true[:at] + wrong + true[at + 1 :])
    assert true[1:8] not in str(refused.value.sentence)


@given(series, seven)
def test_only_one_check_letter_is_right(letter, digits):
    true = number(letter, digits)
    right = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if identity.whole_number(true[:-1] + c)]
    assert right == [true[-1]]


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    for kind in Kind:
        try:
            read = parse(kind, text, "MY")
        except BadNumber:
            continue
        assert parse(read.kind, read.value, read.country) == read
        assert len(read.ending) <= 4


def test_documents_of_other_countries():
    read = parse(Kind.PASSPORT, "a 1234567", "my")
    assert (read.value, read.country, read.ending) == ("A1234567", "MY", "567")
    assert read.indexed != parse(Kind.PASSPORT, "A1234567", "ID").indexed
    for text, country in (("A12", "MY"), ("A1234567", ""), ("A1234567", "MYS"), (number(), "SG")):
        with pytest.raises(BadNumber):
            parse(Kind.PASSPORT, text, country)


def test_numbers_in_texts_are_recognised():
    assert re.fullmatch(identity.NATIONAL_IN_TEXT, number())
    assert identity.NATIONAL_IN_TEXT.search(f"Tan, {number('G').lower()}.")
    assert not identity.NATIONAL_IN_TEXT.search("S12345678")
