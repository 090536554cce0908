"""Who may import whom: see docs/STYLE.md."""

import ast
import sys
from collections.abc import Iterator

import pytest

BOTTOM = {"clock", "context", "errors", "limits"}
DRIVERS: dict[str, set[str]] = {"sqlite": {"apsw"}, "nats": set()}
COMMON = {"msgspec", "orjson", "structlog"}
BESIDE = {"sqlite": set(), "nats": {"cryptography"}}
"""What an engine may import besides its driver, and others may as well."""
APP_USERS = {"__main__", "cli", "testing"}
MODELS = {"boto3", "botocore"}
MODEL_USERS = ("wire/catalog.py", "testing/")


def imports(tree: ast.Module) -> Iterator[str]:
    """The full names a module imports, those for type checking included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(tree: ast.Module) -> set[tuple[str, ...]]:
    """What it imports of the package, as the parts after `headrace`; `from headrace import x` is `("x",)`."""
    return {tuple(name.split(".")[1:]) for name in imports(tree) if name.split(".")[0] == "headrace"}


def foreign(tree: ast.Module) -> set[str]:
    """The third-party packages it imports."""
    return {name.split(".")[0] for name in imports(tree)} - set(sys.stdlib_module_names) - {"headrace"}


def under(modules, package):
    return {path: tree for path, tree in modules.items() if path.startswith(f"{package}/")}


def engines(modules) -> set[str]:
    return {path.split("/")[1] for path in under(modules, "engines") if path.count("/") > 1}


def test_only_the_entrances_import_app(modules):
    for path, tree in modules.items():
        if path.split("/")[0].removesuffix(".py") not in APP_USERS:
            assert not {parts for parts in own(tree) if parts[:1] == ("app",)}, path


@pytest.mark.parametrize("name", sorted(BOTTOM))
def test_the_bottom_imports_primitives_only(modules, name):
    tree = modules[f"{name}.py"]
    assert {parts[0] for parts in own(tree)} <= BOTTOM | {"primitives"}
    assert foreign(tree) <= {"msgspec"}


def test_primitives_import_nothing_but_each_other(modules):
    for path, tree in under(modules, "primitives").items():
        assert {parts[0] for parts in own(tree)} <= {"primitives"}, path
        assert foreign(tree) <= {"msgspec"}, path


@pytest.mark.parametrize(
    ("package", "strangers"), [("wire", {"services", "engines"}), ("services", {"wire", "engines"})]
)
def test_wire_services_and_engines_meet_in_app_only(modules, package, strangers):
    for path, tree in under(modules, package).items():
        assert not {parts[0] for parts in own(tree)} & strangers, path


def test_a_service_never_imports_another(modules):
    for path, tree in under(modules, "services").items():
        mine = path.split("/")[1]
        assert {parts[1] for parts in own(tree) if parts[0] == "services" and len(parts) > 1} <= {mine}, path


def test_an_engine_imports_primitives_the_bottom_and_its_driver(modules):
    for path, tree in under(modules, "engines").items():
        if path.count("/") == 1:
            continue
        mine = path.split("/")[1]
        for parts in own(tree):
            assert parts[0] in BOTTOM | {"primitives"} or parts[:2] == ("engines", mine), path
        assert foreign(tree) <= DRIVERS[mine] | BESIDE[mine] | COMMON, path


def test_each_driver_stays_in_its_engine(modules):
    for path, tree in modules.items():
        for engine, drivers in DRIVERS.items():
            if not path.startswith(f"engines/{engine}/"):
                assert not foreign(tree) & drivers, path


def test_the_models_are_read_in_one_place(modules):
    for path, tree in modules.items():
        if not path.startswith(MODEL_USERS):
            assert not foreign(tree) & MODELS, path


def test_the_machines_clock_is_read_in_one_place(modules):
    clocks = {"time.time", "time.time_ns", "datetime.datetime.now", "datetime.datetime.utcnow"}
    for path, tree in modules.items():
        if path == "clock.py":
            continue
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & (clocks | {"datetime.now", "datetime.utcnow"}), path
