"""AWS CBOR 1.1: AWS JSON 1.1 with its bodies in CBOR, as the SDKs for Java speak to Kinesis.

Blobs are byte strings, and moments are whole milliseconds under tag 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headrace.wire.catalog import Catalog
from headrace.wire.codecs.awsjson import Decode, JsonCodec
from headrace.wire.codecs.schema import converter
from headrace.wire.shapes import Shape

CONTENT_TYPE: Final = "application/x-amz-cbor-1.1"

MAX_DEPTH: Final = 32
"""Containers within containers of a request. AWS: no parameter lies deeper."""

MS_PER_S: Final = 1000

_MOMENT: Final = 1
_OTHER_TAGS: Final = (0, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 1010, 43000)
"""Tags that the library would make something of, such as regular expressions or values that hold themselves."""

Rewrite = Callable[[Any], Any]


class CborCodec(JsonCodec):
    """The protocol, for all services that speak AWS JSON."""

    form = "CBOR"
    event_type = CONTENT_TYPE

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(CONTENT_TYPE, catalog)
        self._loads: Callable[[bytes], Any] | None = None
        self._writers: dict[Shape, Callable[[Any], bytes]] = {}

    def _parse(self, shape: Shape, body: bytes) -> Any:
        return moments(shape, _seconds)(self._load(body))

    def _reader(self, shape: Shape, schema: Any) -> Decode:
        in_seconds, convert = moments(shape, _seconds), converter(schema)

        def read(body: bytes) -> dict[str, Any]:
            params: dict[str, Any] = convert(in_seconds(self._load(body)))
            return params

        return read

    def _load(self, body: bytes) -> Any:
        if self._loads is None:
            self._loads = _loader()
        return self._loads(body)

    def _write(self, shape: Shape, value: Any) -> bytes:
        write = self._writers.get(shape)
        if write is None:
            write = self._writers[shape] = _writer(shape)
        return write(value)


def _loader() -> Callable[[bytes], Any]:
    """What decodes CBOR and raises ValueError for what is none."""
    import cbor2

    semantic_decoders = {_MOMENT: _untagged, **dict.fromkeys(_OTHER_TAGS, _refuse_value)}

    def load(body: bytes) -> Any:
        try:
            return cbor2.loads(
                body,
                tag_hook=_refuse_value,
                semantic_decoders=semantic_decoders,
                max_depth=MAX_DEPTH,
                strict_hashable_types=True,
            )
        except cbor2.CBORDecodeError as error:
            raise ValueError(error) from error

    return load


def _untagged(value: Any, _immutable: bool) -> Any:
    return value


def _refuse_value(_value: Any, _more: Any) -> Any:
    raise ValueError("the only tag that is read is 1")


def _writer(shape: Shape) -> Callable[[Any], bytes]:
    """What writes values of a shape."""
    import cbor2

    def tagged(seconds: Any) -> Any:
        return cbor2.CBORTag(_MOMENT, round(seconds * MS_PER_S))

    in_milliseconds = moments(shape, tagged)
    return lambda value: cbor2.dumps(in_milliseconds(value))


def _seconds(value: Any) -> Any:
    """AWS: whole numbers are milliseconds, whereas a fraction, as elsewhere in CBOR, is of seconds."""
    return value / MS_PER_S if isinstance(value, int) and not isinstance(value, bool) else value


def moments(shape: Shape, rewrite: Rewrite) -> Rewrite:
    """What gives back values of a shape with all moments in them rewritten, and what is not of the shape as it is."""
    return _moments(shape, rewrite, ()) or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _moments(shape: Shape, rewrite: Rewrite, within: tuple[str, ...]) -> Rewrite | None:
    """As `moments`; None for a shape in which there are no moments."""
    if shape.kind == "timestamp":
        return rewrite
    if shape.name in within:
        return None
    inside = (*within, shape.name)
    if shape.kind == "structure":
        found = {name: _moments(member.shape, rewrite, inside) for name, member in shape.members.items()}
        members = [(name, inner) for name, inner in found.items() if inner is not None]
        return _in_structure(members) if members else None
    if shape.kind == "list":
        assert shape.member is not None
        element = _moments(shape.member, rewrite, inside)
        return None if element is None else _in_list(element)
    if shape.kind == "map":
        assert shape.value is not None
        value = _moments(shape.value, rewrite, inside)
        return None if value is None else _in_map(value)
    return None


def _in_structure(members: list[tuple[str, Rewrite]]) -> Rewrite:
    def rewrite(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        changed = {name: inner(value[name]) for name, inner in members if value.get(name) is not None}
        return {**value, **changed} if changed else value

    return rewrite


def _in_list(element: Rewrite) -> Rewrite:
    return lambda value: [element(each) for each in value] if isinstance(value, list) else value


def _in_map(inner: Rewrite) -> Rewrite:
    def rewrite(value: Any) -> Any:
        return {key: inner(each) for key, each in value.items()} if isinstance(value, dict) else value

    return rewrite
