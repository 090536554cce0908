import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.sns.transports import gsm

BASIC = st.text(st.sampled_from(list(gsm._CODES)), max_size=800)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("@£$", b"\x00\x01\x02"), ("aé€", b"a\x05\x1b\x65"), ("{}", b"\x1b\x28\x1b\x29"), ("", b""), ("\n", b"\n")],
)
def test_the_default_alphabet(text, octets):
    assert gsm.encode(text) == gsm.Text((octets,), ucs2=False)


@pytest.mark.parametrize(("count", "parts"), [(160, 1), (161, 2), (306, 2), (307, 3), (1600, 11)])
def test_parts_of_the_default_alphabet(count, parts):
    assert len(gsm.encode("x" * count).parts) == parts


@pytest.mark.parametrize(("count", "parts"), [(70, 1), (71, 2), (134, 2), (135, 3)])
def test_parts_of_ucs2(count, parts):
    text = gsm.encode("ж" * count)
    assert (text.ucs2, len(text.parts)) == (True, parts)


def test_no_character_is_cut():
    euros = gsm.encode("x" * 152 + "€" * 10)
    assert euros.parts[0] == b"x" * 152
    faces = gsm.encode("ж" * 66 + "👋" * 10)
    assert len(faces.parts[0]) == 132
    assert faces.parts[1].decode("utf-16-be") == "👋" * 10


@given(BASIC)
def test_what_is_encoded_is_read_again(text):
    found = gsm.encode(text)
    assert not found.ucs2
    assert "".join(gsm.decode(part, ucs2=False) for part in found.parts) == text
    assert all(len(part) <= (160 if len(found.parts) == 1 else 153) for part in found.parts)


@given(st.text(max_size=300))
def test_any_text_can_be_sent(text):
    found = gsm.encode(text)
    assert "".join(gsm.decode(part, ucs2=found.ucs2) for part in found.parts) == text
    assert all(len(part) <= (140 if found.ucs2 else 160) for part in found.parts)


def test_halves_of_surrogate_pairs_do_no_harm():
    assert gsm.encode("\ud83d").ucs2


def test_what_cannot_be_read_becomes_a_mark():
    assert gsm.decode(b"a\xff\x1b\x01b\x1b", ucs2=False) == "a??b"


def test_the_longest_text():
    assert not gsm.is_too_long("x" * 1600)
    assert gsm.is_too_long("x" * 1601)
