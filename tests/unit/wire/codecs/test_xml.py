from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.wire.codecs.xml import escape, writer
from headrace.wire.shapes import Member, Shape


def written(shape, value):
    out = []
    writer(shape)(value, out)
    return "".join(out)


@settings(deadline=None)
@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
    )
)
def test_text_comes_back_as_it_was(text):
    assert (ET.fromstring(f"<a>{escape(text)}</a>").text or "") == text


@settings(deadline=None)
@given(st.text())
def test_any_text_makes_a_well_formed_document(text):
    ET.fromstring(f"<a>{escape(text)}</a>".encode())


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "a<b", "a&lt;b"),
        ("integer", -5, "-5"),
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("blob", b"AB", "QUI="),
        ("double", 1.5, "1.5"),
        ("timestamp", 1352073600, "2012-11-05T00:00:00Z"),
        ("timestamp", 1352073600.25, "2012-11-05T00:00:00.250Z"),
    ],
)
def test_scalars(kind, value, text):
    assert written(Shape(name="x", kind=kind), value) == text


def test_lists_and_maps_flattened_and_not():
    string = Shape(name="String", kind="string")
    plain_list = Shape(name="L", kind="list", member=string)
    flat_list = Shape(name="F", kind="list", member=string, flattened=True)
    plain_map = Shape(name="M", kind="map", key=string, value=string)
    flat_map = Shape(
        name="G", kind="map", key=string, value=string, flattened=True, key_name="Name", value_name="Value"
    )
    members = {"L": plain_list, "F": flat_list, "M": plain_map, "G": flat_map}
    shape = Shape(name="S", kind="structure", members={n: Member(n, n, inner) for n, inner in members.items()})
    value = {"L": ["a", "b"], "F": ["c", "d"], "M": {"e": "f"}, "G": {"g": "h"}, "Stranger": 1}
    assert written(shape, value) == (
        "<L><member>a</member><member>b</member></L><F>c</F><F>d</F>"
        "<M><entry><key>e</key><value>f</value></entry></M><G><Name>g</Name><Value>h</Value></G>"
    )


def test_a_shape_that_holds_itself():
    tree = Shape(name="Tree", kind="structure")
    tree.members["Child"] = Member("Child", "Child", tree)
    assert written(tree, {"Child": {"Child": {}}}) == "<Child><Child></Child></Child>"
