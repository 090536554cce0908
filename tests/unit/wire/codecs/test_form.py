import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.wire.codecs.form import MAX_NAME_PARTS, nest, reader
from headrace.wire.shapes import Member, Shape


def shape_of(kind, **more):
    return Shape(name=kind, kind=kind, **more)


def structure(**members):
    return Shape(name="S", kind="structure", members={n: Member(n, n, shape) for n, shape in members.items()})


STRING = shape_of("string")
FLAT_LIST = shape_of("list", member=STRING, flattened=True)
FLAT_MAP = shape_of("map", key=STRING, value=STRING, flattened=True, key_name="Name", value_name="Value")


def read(shape, fields):
    return reader(structure(X=shape))(nest(fields), "")


def refused(shape, fields):
    with pytest.raises(ServiceError) as refusal:
        read(shape, fields)
    return refusal.value.code, refusal.value.message


class TestNest:
    def test_dots_make_a_tree(self):
        assert nest({"A.1.Name": "x", "A.1.Value": "y", "B": "z"}) == {
            "A": {"1": {"Name": "x", "Value": "y"}},
            "B": "z",
        }

    @pytest.mark.parametrize("fields", [{"A": "x", "A.1": "y"}, {"A.1": "y", "A": "x"}, {"A.1": "y", "A.1.2.3": "x"}])
    def test_a_value_has_nothing_below_it(self, fields):
        with pytest.raises(ServiceError, match="has"):
            nest(fields)

    def test_depth_is_limited(self):
        tree, depth = nest({".".join("a" * 1000): "x"}), 0
        while isinstance(tree, dict):
            ((_, tree),) = tree.items()
            depth += 1
        assert depth == MAX_NAME_PARTS + 1

    @settings(deadline=None)
    @given(st.dictionaries(st.text("a1.", max_size=6), st.text(max_size=1)))
    def test_any_names_are_taken_or_refused(self, fields):
        try:
            nest(fields)
        except ServiceError as error:
            assert error.code == "SerializationException"  # noqa: PT017 - either is right


class TestLists:
    def test_in_the_order_of_their_numbers(self):
        assert read(FLAT_LIST, {"X.10": "c", "X.2": "b", "X.1": "a"}) == {"X": ["a", "b", "c"]}

    def test_one_element_may_do_without_number(self):
        assert read(FLAT_LIST, {"X": "a"}) == {"X": ["a"]}

    def test_empty(self):
        assert read(FLAT_LIST, {"X": ""}) == {"X": []}
        assert read(FLAT_LIST, {}) == {}

    def test_not_flattened(self):
        plain = shape_of("list", member=STRING)
        assert read(plain, {"X.member.1": "a", "X.member.2": "b"}) == {"X": ["a", "b"]}
        assert refused(plain, {"X.1": "a"}) == ("SerializationException", "X must be followed by .member and a number.")

    @pytest.mark.parametrize("index", ["0", "-1", "1a", "9999999", "1" * 5000])
    def test_what_is_no_number(self, index):
        assert refused(FLAT_LIST, {"X.1": "a", f"X.{index}": "b"})[1] == f"{index} is not a valid index"

    def test_elements_of_the_wrong_kind(self):
        assert refused(FLAT_LIST, {"X.1.a": "b"})[1] == "X.1 must have a value of its own."
        of_structures = shape_of("list", member=Shape(name="E", kind="structure"), flattened=True)
        assert refused(of_structures, {"X.1": "a"})[1] == "X.1 cannot have a value of its own."


class TestMaps:
    def test_entries_are_numbered(self):
        fields = {"X.1.Name": "a", "X.1.Value": "1", "X.2.Name": "b", "X.2.Value": ""}
        assert read(FLAT_MAP, fields) == {"X": {"a": "1", "b": ""}}

    def test_one_entry_may_do_without_number(self):
        assert read(FLAT_MAP, {"X.Name": "a", "X.Value": "1"}) == {"X": {"a": "1"}}

    def test_empty(self):
        assert read(FLAT_MAP, {"X": ""}) == {"X": {}}

    def test_not_flattened(self):
        plain = shape_of("map", key=STRING, value=STRING)
        assert read(plain, {"X.entry.1.key": "a", "X.entry.1.value": "1"}) == {"X": {"a": "1"}}

    @pytest.mark.parametrize(
        ("fields", "missing"),
        [({"X.1.Name": "a"}, "X.1.Value"), ({"X.1.Value": "a"}, "X.1.Name"), ({"X.1": "a"}, "X.1.Name")],
    )
    def test_half_an_entry(self, fields, missing):
        assert refused(FLAT_MAP, fields) == (
            "MissingParameter",
            f"The request must contain the parameter {missing}.",
        )


class TestScalars:
    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            ("string", " a ", " a "),
            ("integer", "42", 42),
            ("integer", "-0042", -42),
            ("integer", "+1", 1),
            ("integer", "99999999999", 2**31 - 1),
            ("long", "-" + "9" * 10_000, -(2**63)),
            ("long", "9" * 10_000, 2**63 - 1),
            ("boolean", "true", True),
            ("boolean", "False", False),
            ("double", "1.5", 1.5),
            ("timestamp", "2012-11-05T00:00:00Z", 1352073600.0),
            ("timestamp", "2012-11-05T00:00:00", 1352073600.0),
            ("timestamp", "1352073600", 1352073600.0),
            ("blob", "QUI=", b"AB"),
        ],
    )
    def test_values(self, kind, text, value):
        assert read(shape_of(kind), {"X": text}) == {"X": value}

    @pytest.mark.parametrize(
        ("kind", "text", "message"),
        [
            ("integer", "", "STRING_VALUE can not be converted to an Integer"),
            ("integer", "1.5", "STRING_VALUE can not be converted to an Integer"),
            ("integer", "\u0661", "STRING_VALUE can not be converted to an Integer"),
            ("long", "x", "STRING_VALUE can not be converted to a Long"),
            ("boolean", "1", "STRING_VALUE can not be converted to a Boolean"),
            ("double", "nan", "STRING_VALUE can not be converted to a Double"),
            ("timestamp", "soon", "STRING_VALUE can not be converted to a Double"),
            ("blob", "QUI", "'QUI' can not be converted to a Blob: Incorrect padding"),
        ],
    )
    def test_what_is_none(self, kind, text, message):
        assert refused(shape_of(kind), {"X": text}) == ("SerializationException", message)

    def test_a_value_where_a_structure_should_be(self):
        inner = structure(Y=STRING)
        inner.name = "Inner"
        assert refused(inner, {"X": "a"})[1] == "X cannot have a value of its own."


def test_a_shape_that_holds_itself():
    tree = Shape(name="Tree", kind="structure")
    tree.members["Child"] = Member("Child", "Child", tree)
    assert reader(tree)(nest({"Child.Child.Other": "x"}), "") == {"Child": {"Child": {}}}
