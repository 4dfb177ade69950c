import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_booking import crypto
from tests.vault.keys import key

AT = crypto.place("scheduling_booking", "note", "ABC234")


@given(st.text(min_size=1, max_size=300))
def test_sealed_text_opens_in_its_place(text):
    sealed = crypto.seal(text, AT)
    assert crypto.is_sealed(sealed)
    assert crypto.opened(sealed, AT) == text
    assert crypto.seal(text, AT) != sealed


@pytest.mark.parametrize(
    "place",
    [
        ("scheduling_booking", "note", "ABC235"),
        ("scheduling_booking", "other", "ABC234"),
        ("scheduling_hold", "note", "ABC234"),
        ("scheduling_booking", "noteA", "BC234"),
    ],
)
def test_cipher_of_another_place_is_refused(place):
    with pytest.raises(crypto.Unreadable, match="another place"):
        crypto.opened(crypto.seal("asthma", AT), crypto.place(*place))


def test_changed_cipher_is_refused():
    sealed = crypto.seal("asthma", AT)
    for at in range(len("v1.dev."), len(sealed) - 1):  # the last stands for some bits of no byte
        other = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(crypto.Unreadable):
            crypto.opened(other, AT)


@pytest.mark.parametrize("value", ["", "asthma", "v1.dev.", "v2.dev." + "A" * 40, "v1.gone." + "A" * 40])
def test_what_is_no_cipher_of_ours_is_refused(value):
    with pytest.raises(crypto.Unreadable) as refused:
        crypto.opened(value, AT)
    assert "asthma" not in str(refused.value)


def test_old_keys_open_and_the_first_seals(settings):
    old, new = f"old:{key()}", f"new:{key()}"
    settings.FIELD_KEYS = old
    sealed = crypto.seal("asthma", AT)
    settings.FIELD_KEYS = f"{new},{old}"
    assert crypto.opened(sealed, AT) == "asthma"
    assert crypto.key_of(crypto.seal("asthma", AT)) == "new"
    settings.FIELD_KEYS = new
    with pytest.raises(crypto.Unreadable, match="no key old"):
        crypto.opened(sealed, AT)


def test_index_depends_on_its_key(settings):
    settings.BLIND_INDEX_KEYS = f"new:{key()},old:{key()}"
    new, old = crypto.indexes("sg|1")
    assert (crypto.key_of(new), crypto.key_of(old), crypto.index("sg|1")) == ("new", "old", new)
    assert new.split(".")[1] != old.split(".")[1]
    assert crypto.index("sg|2") != new


@pytest.mark.parametrize("text", ["", "a", "a:", "a:AAAA", "A:" + "A" * 43 + "=", ":" + "A" * 43 + "="])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(crypto.BadKeys):
        crypto.Keys.of(text)


def test_keys_are_not_shown():
    one = key()
    assert one not in repr(crypto.Keys.of(f"a:{one}"))
