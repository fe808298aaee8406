"""Who may import whom, as a program; and every module has its tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "gateway").rglob("*.py"))
}

# room → what it must not import. A room is the longest of these prefixes that a module's name has.
FORBIDDEN = {
    "gateway.policy": ["asyncio", "time", "os", "random", "secrets", "socket", "aiohttp", "redis",
                       "gateway.*"],
    "gateway.stages": ["aiohttp", "redis", "hiredis", "gateway.web", "gateway.upstream",
                       "gateway.store.redis", "gateway.stages", "gateway.app"],
    "gateway.store.base": ["redis", "hiredis", "aiohttp", "gateway.web", "gateway.stages",
                           "gateway.upstream"],
    "gateway.store": ["aiohttp", "gateway.web", "gateway.stages", "gateway.upstream", "gateway.pipeline"],
    "gateway.upstream": ["aiohttp.web", "redis", "gateway.web", "gateway.stages", "gateway.store",
                         "gateway.pipeline"],
    "gateway.web": ["redis", "hiredis", "gateway.stages", "gateway.store.redis", "gateway.upstream",
                    "gateway.app", "gateway.cli"],
    "gateway.pricing": ["asyncio", "time", "random", "aiohttp", "redis", "hiredis", "gateway.*"],
    "gateway.ledger": ["aiohttp", "redis", "hiredis", "gateway.*"],
    "gateway.away": ["aiohttp", "redis", "hiredis", "gateway.*"],
    "gateway.sockets": ["aiohttp", "redis", "hiredis", "gateway.web", "gateway.upstream",
                        "gateway.store.redis", "gateway.app"],
    "gateway.workers": ["aiohttp", "redis", "hiredis", "gateway.stages", "gateway.pipeline",
                        "gateway.commands", "gateway.cli"],
    "gateway.commands": ["gateway.store", "gateway.web", "gateway.stages", "gateway.pipeline"],
    "gateway": ["aiohttp.web"],
}  # fmt: skip
ALLOWED = {
    "gateway.policy": ["gateway.policy", "gateway.errors"],
    "gateway.pricing": ["gateway.pricing", "gateway.policy", "gateway.settings", "gateway.errors"],
    "gateway.away": [
        "gateway.away",
        "gateway.store.base",
        "gateway.policy",
        "gateway.errors",
        "gateway.settings",
        "gateway.clients",
        "gateway.runtime",
        "gateway.exchange",
    ],
    "gateway.ledger": ["gateway.ledger", "gateway.store.base", "gateway.policy", "gateway.errors"],
}


def room_of(module: str) -> str:
    return max((room for room in FORBIDDEN if (module + ".").startswith(room + ".")), key=len)


def imports(path: Path) -> set[str]:
    """What a module imports when it is loaded or run, but not for its types alone."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            nested = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in nested}
    return found


def within(name: str, prefixes: list[str]) -> bool:
    return any((name + ".").startswith(prefix.removesuffix("*").rstrip(".") + ".") for prefix in prefixes)


@pytest.mark.parametrize("module", MODULES)
def test_imports_keep_to_the_rooms(module: str) -> None:
    room = room_of(module)
    for name in imports(MODULES[module]):
        if module.startswith("gateway.stages.") and name == "gateway.stages":
            continue
        assert not within(name, FORBIDDEN[room]) or within(name, ALLOWED.get(room, [])), (
            f"{module} imports {name}, which {room} must not"
        )


def test_there_are_no_cycles() -> None:
    graph = {module: imports(path) & MODULES.keys() - {module} for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail, module))
        if module not in done:
            for next_one in graph[module]:
                visit(next_one, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("gateway.policy.")])
def test_policy_never_waits(module: str) -> None:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, kinds)]


@pytest.mark.parametrize("module", [name for name in MODULES if MODULES[name].name != "__init__.py"])
def test_every_module_has_its_tests(module: str) -> None:
    *rooms, name = module.split(".")[1:]
    assert (ROOT / "tests" / Path(*rooms) / f"test_{name}.py").exists()
