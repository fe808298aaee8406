"""What is documented is what is there: every setting, every error code, every command."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import gateway
from docs.generate_cli import PAGE, page
from gateway.configuration.conversion import is_record
from gateway.configuration.document import OTHER_VARIABLES, twin
from gateway.errors import GatewayError
from gateway.settings import Duration, Settings, Size

DOCS = Path(__file__).parent.parent / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")


def rows(text: str, columns: int) -> list[list[str]]:
    """The cells of all table rows with this many columns, heads left out."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r" \| ", line) for line in lines]
    return [row for row in cells if len(row) == columns and row[0] not in ("setting", "status")]


SETTINGS = {row[0].strip("`"): row for row in rows(CONFIGURATION, 5)}
CODES = {row[2].strip("`"): row for row in rows(ERRORS, 5)}


def fields() -> Iterator[tuple[str, str, msgspec.structs.FieldInfo]]:
    """Each field of the settings: its name, its variable, and itself."""
    for section in msgspec.structs.fields(Settings):
        many = not is_record(section.type)
        kind = get_args(section.type)[0] if many else section.type
        for field in msgspec.structs.fields(kind):
            name = f"{section.name}.{field.name}"
            yield name, f"in `{twin(section.name)}`" if many else f"`{twin(name)}`", field


FIELDS = {name: (variable, field) for name, variable, field in fields()}


def default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory is not msgspec.NODEFAULT
    return field.default_factory() if made else field.default


def documented(text: str, field: msgspec.structs.FieldInfo) -> Any:
    """A default as it is documented, read as the configuration would be."""
    value = json.loads(text.strip("`"))
    return field.type.parse(value) if field.type in (Duration, Size) else value


def test_every_setting_is_documented_and_no_other() -> None:
    assert SETTINGS.keys() == FIELDS.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_is_documented_as_it_is(name: str) -> None:
    _, kind, text, meaning, environment = SETTINGS[name]
    variable, field = FIELDS[name]
    assert kind
    assert meaning
    assert environment == variable
    if field.required:
        assert text == "required"
    elif default(field) is None:
        assert text == "–"
    else:
        assert documented(text, field) == default(field)


@pytest.mark.parametrize("name", sorted(OTHER_VARIABLES))
def test_every_other_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION


def modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not module.name.endswith("__main__"):
            yield module.name


def classes() -> Iterator[type[GatewayError]]:
    """Every error of the gateway, wherever it is defined."""
    for name in modules():
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if issubclass(found, GatewayError) and found is not GatewayError:
                yield found


def raised() -> Iterator[str]:
    """Every code that is given by name where an error is raised."""
    for path in Path(gateway.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code" and (code := written(node.value)):
                yield code


def written(node: ast.AST) -> str:
    """The text of a literal; `invalid_{name}` is `invalid_<field>`. Empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part) or "<field>" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


CLASSES = sorted(set(classes()), key=lambda each: each.__name__)


@pytest.mark.parametrize("error", CLASSES, ids=[each.__name__ for each in CLASSES])
def test_every_error_is_documented_as_it_is(error: type[GatewayError]) -> None:
    assert CODES[error.code][:2] == [str(error.status), error.type]


def test_every_code_is_documented_and_no_other() -> None:
    assert CODES.keys() == {error.code for error in CLASSES} | set(raised())


@pytest.mark.parametrize("code", CODES)
def test_every_code_says_when_and_what_to_do(code: str) -> None:
    assert all(CODES[code])


def test_the_page_of_the_command_line_is_what_help_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"
