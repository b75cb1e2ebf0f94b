"""Who may import whom. The rules keep the domain pure, the SDK free of the server, and I/O at its seams."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SDK = ROOT / "taskrouter_worker"
SERVER = ROOT / "server_stub"
DOMAIN = SERVER / "domain"

NETWORK = {"aiohttp", "http", "requests", "socket", "urllib.request", "websockets"}
"""Libraries and modules that talk to the network. (`ssl` and `urllib.parse` do not by themselves.)"""

SDK_SEAMS = {"_door.py", "_proxies.py", "_signaling.py", "_transport.py"}
"""The only SDK modules that may import a network library."""

IMPURE = {"asyncio", "datetime", "logging", "os", "random", "secrets", "threading", "time", "uuid"}
"""What the domain is handed (time, SIDs) or must not do at all."""

SHARED_WITH_SERVER = {
    f"taskrouter_worker.{name}" for name in ("clock", "recording", "resources", "terms", "tokens")
}
"""The SDK's pure modules that the server's core may import."""

SDK_USERS = {"__main__.py", "connections.py"}
"""The server modules that may use the SDK's public API."""


def modules(package: Path) -> list[Path]:
    found = sorted(package.rglob("*.py"))
    assert found, f"{package} holds no module: the rule would check nothing"
    return found


def imports(path: Path) -> Iterator[str]:
    """The absolute dotted name of all that `path` imports at run time, at any depth of its code."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in run_time(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from package import module` names a module too, as far as a file can tell.
            if (ROOT / module.replace(".", "/") / "__init__.py").exists():
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of `tree` without what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from run_time(node)


def is_one_of(name: str, modules: set[str]) -> bool:
    """Whether `name` is one of these modules or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def offences(paths: list[Path], *, forbidden: object) -> list[str]:
    assert callable(forbidden)
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imports(path)
        if forbidden(name)
    ]


def root_of(name: str) -> str:
    return name.partition(".")[0]


def test_sdk_never_imports_the_server() -> None:
    assert offences(modules(SDK), forbidden=lambda name: root_of(name) == "server_stub") == []


def test_only_the_seams_of_the_sdk_import_network_libraries() -> None:
    inner = [path for path in modules(SDK) if path.name not in SDK_SEAMS]
    assert offences(inner, forbidden=lambda name: is_one_of(name, NETWORK)) == []


def test_domain_imports_pure_standard_library_terms_and_structures_only() -> None:
    def forbidden(name: str) -> bool:
        # msgspec: typed structures and their codec, which do nothing else.
        if name.startswith(("server_stub.domain", "taskrouter_worker.terms")) or name == "msgspec":
            return False
        return root_of(name) not in sys.stdlib_module_names or is_one_of(name, IMPURE | NETWORK)

    assert offences(modules(DOMAIN), forbidden=forbidden) == []


def test_servers_core_imports_only_the_shared_modules_of_the_sdk() -> None:
    core = [path for path in modules(SERVER) if path.name not in SDK_USERS]

    def forbidden(name: str) -> bool:
        return root_of(name) == "taskrouter_worker" and not is_one_of(name, SHARED_WITH_SERVER)

    assert offences(core, forbidden=forbidden) == []


@pytest.mark.parametrize("seam", sorted(SDK_SEAMS))
def test_seams_import_nothing_of_the_live_objects(seam: str) -> None:
    live = {f"taskrouter_worker.{name}" for name in ("worker", "reservation", "task", "channel", "_state")}
    assert offences([SDK / seam], forbidden=lambda name: is_one_of(name, live)) == []


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("from taskrouter_worker import *", {"server_stub", "pytest", "rich", "twilio"}),
        ("import server_stub.domain.workspace", {"aiohttp", "asyncio", "msgspec", "websockets"}),
    ],
)
def test_importing_a_package_loads_nothing_of_the_layers_above(statement: str, unwanted: set[str]) -> None:
    program = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert unwanted.isdisjoint(loaded)
