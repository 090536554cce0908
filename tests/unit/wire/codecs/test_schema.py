import msgspec
import pytest

from headrace.wire.codecs.schema import Recursive, schema_of
from headrace.wire.overlays import Overlay
from headrace.wire.shapes import Member, Shape


def takes(style, shape, text):
    try:
        msgspec.json.decode(text, type=schema_of(shape, style))
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        (Shape(name="X", kind="string", minimum=2, maximum=3), b'"ab"', b'"a"'),
        (Shape(name="X", kind="string", pattern="a|b+"), b'"bb"', b'"ab"'),
        (Shape(name="X", kind="string", pattern="a"), b'"a"', b'"a\\n"'),
        (Shape(name="X", kind="string", enum=("A", "B")), b'"A"', b'"C"'),
        (Shape(name="X", kind="integer", minimum=1), b"1", b"0"),
        (Shape(name="X", kind="integer"), b"2147483647", b"2147483648"),
        (Shape(name="X", kind="long"), b"2147483648", b"9223372036854775808"),
        (Shape(name="X", kind="double", maximum=0.5), b"0.5", b"0.6"),
        (Shape(name="X", kind="blob", maximum=3), b'"AAAA"', b'"AAAAAA=="'),
        (Shape(name="X", kind="boolean"), b"true", b"1"),
        (Shape(name="X", kind="timestamp"), b"1.5", b'"1.5"'),
        (Shape(name="X", kind="list", member=Shape(name="S", kind="string"), minimum=1), b'["a"]', b"[]"),
        (
            Shape(
                name="X",
                kind="map",
                key=Shape(name="K", kind="string", maximum=1),
                value=Shape(name="S", kind="string"),
            ),
            b'{"a": "b"}',
            b'{"aa": "b"}',
        ),
    ],
)
def test_constraints_are_the_types(shape, good, bad):
    style = Overlay().style
    assert takes(style, shape, good)
    assert not takes(style, shape, bad)


def test_where_the_rules_judge_values_only_their_kinds_matter(served):
    style = served.services["sqs"].overlay.style
    assert takes(style, Shape(name="X", kind="string", enum=("A",), maximum=0, pattern="x"), b'"C"')
    assert takes(style, Shape(name="X", kind="integer", minimum=1), b"0")
    assert not takes(style, Shape(name="X", kind="integer"), b"2147483648")


def test_required_members(served):
    shape = Shape(name="X", kind="structure", required=("A",))
    shape.members["A"] = Member("A", "A", Shape(name="S", kind="string"))
    style = served.services["sqs"].overlay.style
    assert takes(style, shape, b'{"A": ""}')
    assert not takes(style, shape, b"{}")
    assert takes(style, msgspec.structs.replace(shape, lenient=True), b"{}")


def test_a_pattern_that_python_cannot_read_is_left_out():
    assert takes(Overlay().style, Shape(name="X", kind="string", pattern=r"[\p{L}]+"), b'"1"')


def test_a_shape_that_holds_itself_has_no_type():
    tree = Shape(name="Tree", kind="structure")
    tree.members["Child"] = Member("Child", "Child", tree)
    with pytest.raises(Recursive):
        schema_of(tree, Overlay().style)
