"""The `numeric` operator of filter policies: one comparison, or a range from a bottom to a top. Pure."""

from __future__ import annotations

from headrace.services.sns import filter_values as values
from headrace.services.sns import limits
from headrace.services.sns.filter_json import Item, Source
from headrace.services.sns.filter_values import Condition


def read_number(source: Source, item: Item) -> int:
    """A policy's number in the form that is compared. Raises InvalidParameter for one beyond a thousand million."""
    value = values.number(item.value)
    if isinstance(value, int):
        return value
    bound = f"{limits.FILTER_NUMBER / 1e9:.1f}E9"
    raise source.error(f"Value must be between -{bound} and {bound}, inclusive", item.closed)


def numeric(source: Source, operand: Item) -> Condition:
    """The condition of `{"numeric": [">", 0, "<=", 150]}` and its kind. Raises InvalidParameter with AWS's words."""
    if operand.kind != "array":
        raise source.error("Value of numeric must be an array.", operand.opened)
    items = operand.items
    if not items or not items[0].is_string:
        raise source.error(f"Invalid member in numeric match: {items[0].text if items else ']'}", operand.after(0))
    operator: str = items[0].value
    if operator not in ("=", "<", "<=", ">", ">="):
        raise source.error(f"Unrecognized numeric range operator: {operator}", operand.after(1))
    if len(items) == 1 or not items[1].is_number:
        name = "equals" if operator == "=" else operator
        raise source.error(f"Value of {name} must be numeric", operand.after(1))
    value = read_number(source, items[1])
    if operator in (">", ">=") and len(items) > 2:  # noqa: PLR2004 - an operator and its value
        return _range(source, operand, value)
    if len(items) > 2:  # noqa: PLR2004
        raise source.error("Too many elements in numeric expression", operand.after(2))
    if operator == "=":
        return values.exact(value)
    if operator in (">", ">="):
        return values.between(value, None, open_bottom=operator == ">")
    return values.between(None, value, open_top=operator == "<")


def _range(source: Source, operand: Item, bottom: int) -> Condition:
    """A range whose bottom is read."""
    items = operand.items
    if not items[2].is_string:
        raise source.error(f"Bad value in numeric range: {items[2].text}", operand.after(2))
    operator: str = items[2].value
    if operator not in ("<", "<="):
        raise source.error(f"Bad numeric range operator: {operator}", items[2].closed)
    if len(items) == 3 or not items[3].is_number:  # noqa: PLR2004 - the top's operator, and nothing after it
        raise source.error(f"Value of {operator} must be numeric", operand.after(3))
    top = read_number(source, items[3])
    if len(items) > 4:  # noqa: PLR2004 - two operators with their values
        raise source.error("Too many terms in numeric range expression", operand.after(4))
    if bottom >= top:
        raise source.error("Bottom must be less than top", operand.closed)
    return values.between(bottom, top, open_bottom=items[0].value == ">", open_top=operator == "<")
