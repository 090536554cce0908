import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.sns.transports import smpp
from headrace.services.sns.transports.smpp import Bind, Command, Message, Pdu, SmppError

ADDRESSES = st.one_of(
    st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True), st.from_regex(r"[A-Za-z]{1,11}", fullmatch=True)
)


def test_a_bind_as_the_specification_shows_it():
    body = smpp.bind_body(Bind("SMPP3TEST", "secret08", "SUBMIT1"))
    assert body == b"SMPP3TEST\0secret08\0SUBMIT1\0\x34\0\0\0"
    pdu = smpp.encode(Pdu(Command.BIND_TRANSCEIVER, 1, body=body))
    assert struct.unpack(">IIII", pdu[:16]) == (len(pdu), 9, 0, 1)


@pytest.mark.parametrize("bind", [Bind("x" * 16, ""), Bind("", "x" * 9), Bind("", "", "x" * 13), Bind("a\0b", "")])
def test_what_does_not_fit_into_a_bind(bind):
    with pytest.raises(SmppError):
        smpp.bind_body(bind)


def test_pdus_are_taken_as_they_come():
    octets = smpp.encode(Pdu(Command.SUBMIT_SM_RESP, 7, 0x58, b"id\0")) + smpp.encode(Pdu(Command.ENQUIRE_LINK, 8))
    buffer = bytearray()
    found = []
    for octet in octets:
        buffer.append(octet)
        if (pdu := smpp.take(buffer)) is not None:
            found.append(pdu)
    assert found == [Pdu(0x80000004, 7, 0x58, b"id\0"), Pdu(0x15, 8)]
    assert buffer == b""


@pytest.mark.parametrize("length", [0, 15, 64 * 1024 + 1, 0xFFFFFFFF])
def test_lengths_that_cannot_be(length):
    with pytest.raises(SmppError, match="bytes"):
        smpp.take(bytearray(struct.pack(">IIII", length, 4, 0, 1)))


@given(
    source=ADDRESSES,
    destination=ADDRESSES,
    octets=st.binary(max_size=1000),
    esm_class=st.sampled_from([0, 0x40, 4]),
    data_coding=st.sampled_from([0, 8]),
)
def test_messages_are_read_as_they_were_written(source, destination, octets, esm_class, data_coding):
    message = Message(source, destination, octets, esm_class, data_coding, 1)
    assert smpp.read_message(smpp.message_body(message)) == message


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body):
    try:
        message = smpp.read_message(body)
        smpp.plain_octets(message)
    except SmppError:
        pass
    smpp.read_id(body)


def test_a_message_that_ends_early():
    body = smpp.message_body(Message("Shop", "+15550100", b"hello"))
    for end in range(len(body)):
        with pytest.raises(SmppError):
            smpp.read_message(body[:end])


def test_parts_have_headers():
    parts = smpp.concatenated((b"one", b"two"), 300)
    assert parts == [b"\x05\x00\x03\x2c\x02\x01one", b"\x05\x00\x03\x2c\x02\x02two"]
    assert smpp.plain_octets(Message("", "", parts[1], smpp.UDHI)) == b"two"


def test_receipts_are_told_from_messages():
    assert Message("", "", b"", esm_class=0x04).is_receipt
    assert not Message("", "", b"", esm_class=0x40).is_receipt


def test_statuses_in_words():
    assert smpp.describe(0x58) == "the message centre throttles (SMPP status 0x00000058)"
    assert smpp.describe(0x4242) == "the message centre refused (SMPP status 0x00004242)"
