"""Files and functions stay of a size that can be read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MAX_FILE_LINES = 600
USUAL_FILE_LINES = 250
MAX_FUNCTION_LINES = 60
USUAL_FUNCTION_LINES = 25
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last, the docstring included, decorators not."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


@pytest.fixture(scope="session")
def python(tracked: list[Path]) -> list[Path]:
    return [path for path in tracked if path.suffix == ".py"]


def test_no_file_is_long(python, root):
    long = {
        str(path.relative_to(root)): n for path in python if (n := len(path.read_text().splitlines())) > MAX_FILE_LINES
    }
    assert not long


def test_most_modules_are_short(python, root):
    lines = [len(path.read_text().splitlines()) for path in python if path.is_relative_to(root / "src")]
    assert sum(n <= USUAL_FILE_LINES for n in lines) >= 0.75 * len(lines), sorted(lines)[-20:]


def test_no_function_is_long(python, root):
    long = [
        f"{path.relative_to(root)}:{function.lineno} {function.name}: {length(function)} lines"
        for path in python
        for function in functions(ast.parse(path.read_text()))
        if length(function) > MAX_FUNCTION_LINES
    ]
    assert not long


def test_most_functions_are_short(modules):
    lengths = [length(function) for tree in modules.values() for function in functions(tree)]
    short = sum(n < USUAL_FUNCTION_LINES for n in lengths)
    assert short >= 0.9 * len(lengths), f"{short} of {len(lengths)}"


def test_modules_are_named_for_what_they_do(python):
    assert not [path for path in python if path.stem in FORBIDDEN_NAMES]
