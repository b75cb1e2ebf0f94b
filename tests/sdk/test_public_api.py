"""What the package offers, and what importing it costs."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import taskrouter_worker
from taskrouter_worker import errors

PACKAGE = Path(taskrouter_worker.__file__).parent
PURE = ("terms", "clock", "errors", "resources", "events", "_token", "_requests", "_emitter", "tokens")
EXTRAS = {"telemetry": "opentelemetry"}
LIVE = (
    "_context",
    "activity",
    "channel",
    "transfer",
    "task",
    "reservation",
    "_state",
    "_snapshot",
    "_commands",
)


def test_all_is_sorted_complete_and_loads() -> None:
    names = taskrouter_worker.__all__
    assert names == sorted(names)
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(taskrouter_worker, name) is not None
        assert name in dir(taskrouter_worker)


def test_every_error_is_public() -> None:
    assert {name for name in taskrouter_worker.__all__ if name.endswith("Error")} == {*errors.__all__}
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.TaskRouterError)
        assert name in (errors.__doc__ or ""), f"{name} is missing in the drawn tree"


REQUEST: dict[str, Any] = {"method": "GET", "path": "Workspaces/WS1"}
DETAILS: dict[type[errors.TaskRouterError], dict[str, Any]] = {
    errors.ConnectionFailedError: {"status": 503},
    errors.InvalidMessageError: {"event_type": "init"},
    errors.RateLimitedError: {**REQUEST, "status": 429, "retry_after": 2.5},
    errors.EndedOtherwiseError: {**REQUEST, "sid": "WR1", "outcome": "canceled"},
    errors.HandlerError: {"event": "ready", "handler": print, "source": object()},
}


def sent(error: errors.TaskRouterError) -> errors.TaskRouterError:
    """As it comes out of another process."""
    found: errors.TaskRouterError = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    return found


@pytest.mark.parametrize("name", errors.__all__)
@pytest.mark.parametrize("way", [sent, copy.copy, copy.deepcopy])
def test_every_error_comes_unharmed_out_of_another_process(
    name: str, way: Callable[[errors.TaskRouterError], errors.TaskRouterError]
) -> None:
    kind: type[errors.TaskRouterError] = getattr(errors, name)
    details = DETAILS.get(kind, REQUEST if issubclass(kind, errors.RequestError) else {})
    error = kind("what was wrong", **details)
    error.ends_session = True
    expected = dict(vars(error))
    if kind is errors.HandlerError:  # neither can be sent
        expected |= {key: repr(details[key]) for key in ("handler", "source")}

    found = way(error)

    assert type(found) is kind
    assert str(found) == "what was wrong"
    assert vars(found) == expected
    assert found.retryable == error.retryable


def test_every_public_class_of_the_public_modules_is_offered() -> None:
    offered = {getattr(taskrouter_worker, name) for name in taskrouter_worker.__all__}
    for module_name in (
        "activity",
        "channel",
        "reservation",
        "task",
        "transfer",
        "worker",
        "workspace",
        "supervisor",
    ):
        module = importlib.import_module(f"taskrouter_worker.{module_name}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                assert thing in offered, f"{module_name}.{name}"


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = taskrouter_worker.Nonsense


def test_every_module_has_an_all_that_is_there() -> None:
    for path in sorted(PACKAGE.glob("*.py")):
        if path.stem in ("__init__", "_version"):
            continue
        if path.stem in EXTRAS and importlib.util.find_spec(EXTRAS[path.stem]) is None:
            continue  # an optional library that is not installed here
        module = importlib.import_module(f"taskrouter_worker.{path.stem}")
        assert all(hasattr(module, name) for name in module.__all__), path.stem


def test_every_public_name_is_documented() -> None:
    for name in taskrouter_worker.__all__:
        thing = getattr(taskrouter_worker, name)
        if not inspect.isclass(thing):
            continue
        assert thing.__doc__, name
        for member, value in vars(thing).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize("modules", [("__init__",), PURE, LIVE], ids=["package", "pure", "live"])
def test_importing_pure_modules_loads_no_network_library(modules: tuple[str, ...]) -> None:
    imports = "; ".join(f"import taskrouter_worker.{name}" for name in modules if name != "__init__")
    program = f"import sys, taskrouter_worker; {imports or 'pass'}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert {"aiohttp", "websockets"}.isdisjoint(name.partition(".")[0] for name in loaded)


def test_every_error_is_raised_or_caught_somewhere() -> None:
    """An error that nothing raises promises what nobody keeps."""
    source = "\n".join(
        module.read_text()
        for module in PACKAGE.glob("*.py")
        if module.name not in ("errors.py", "__init__.py")
    )
    bases = {"TokenError"}  # for `except` clauses of applications
    unused = [name for name in errors.__all__ if not re.search(rf"\b{name}\b", source)]
    assert set(unused) <= bases
