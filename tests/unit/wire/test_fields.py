import string
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.wire import fields
from headrace.wire.fields import parse_fields


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.text()), st.sampled_from([quote, quote_plus]))
def test_reads_what_a_form_encoder_writes(given_fields, quote_via):
    assert parse_fields(urlencode(given_fields, quote_via=quote_via).encode()) == given_fields


@settings(deadline=None)
@given(st.text(alphabet=string.printable))
def test_takes_unescaped_characters_as_they_are(text):
    text = text.translate(str.maketrans("", "", "&%+"))
    assert parse_fields(f"a={text}".encode()) == {"a": text}


def test_the_last_of_one_name_counts_and_empty_fields_do_not():
    assert parse_fields(b"a=1&&a=2&b&c=") == {"a": "2", "b": "", "c": ""}


def test_an_equals_sign_may_stand_in_a_value():
    assert parse_fields(b"a=b=c%3D==") == {"a": "b=c==="}


@pytest.mark.parametrize("broken", [b"%", b"%4", b"%zz", b"%=41", b"%\n41", b"%\r\n41", b"%41%", b"==%%", b"%%41"])
def test_refuses_what_is_no_escape(broken):
    with pytest.raises(ServiceError, match="% is not followed by two hexadecimal digits") as refused:
        parse_fields(b"a=" + broken)
    assert refused.value.code == "MalformedQueryString"


def test_refuses_what_is_not_utf8():
    with pytest.raises(ServiceError, match="not UTF-8"):
        parse_fields(b"a=%ff")


def test_the_number_of_fields_is_limited(monkeypatch):
    monkeypatch.setattr(fields, "MAX_FIELDS", 2)
    assert parse_fields(b"a=&b=") == {"a": "", "b": ""}
    with pytest.raises(ServiceError, match="more than 2"):
        parse_fields(b"a=&b=&c=")
