"""The checks of the supply chain find what they are there to find."""

from __future__ import annotations

from importlib.metadata import distribution
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.supply_chain import audit, bounds, licenses, sbom


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("Apache-2.0 OR BSD-2-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("(MIT OR GPL-3.0-only) AND PSF-2.0", True),
        ("GPL-3.0-only", False),
        ("LGPL-3.0-only OR GPL-2.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only AND MIT OR AGPL-3.0-only", False),
        ("MIT OR (MIT", False),
        ("MIT MIT", False),
        ("Proprietary", False),
        ("", False),
        ("AND", False),
    ],
)
def test_licence_expression_is_read_as_spdx_says(expression: str, allowed: bool) -> None:
    assert licenses.is_allowed(expression) is allowed


def test_everything_that_users_install_is_looked_at() -> None:
    found = licenses.needed()
    assert {
        "aiohttp",
        "yarl",
        "multidict",
        "websockets",
        "rich",
        "pygments",
        "opentelemetry-api",
    } <= found.keys()
    assert not {"pytest", "ruff", "mypy", "taskrouter-worker"} & found.keys()
    assert list(licenses.refused(found.values())) == []


def test_distribution_without_an_allowed_licence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licenses, "ALLOWED", licenses.ALLOWED - {"BSD-3-Clause"})
    [problem] = licenses.refused([distribution("websockets"), distribution("anyio")])
    assert problem.startswith("websockets ")


def test_audit_that_audited_nothing_fails() -> None:
    unknown = {"name": "aiohttp", "skip_reason": "Dependency not found"}
    fine = {"name": "yarl", "version": "1.25.1", "vulns": []}
    weak = {"name": "idna", "version": "3.0", "vulns": [{"id": "CVE-1", "fix_versions": ["3.7"]}]}

    def problems(*items: Any) -> list[str]:
        return audit.verdict({"dependencies": list(items)})[1]

    assert problems(fine) == []
    assert len(problems()) == 1
    assert [problem.partition(":")[0] for problem in problems(unknown)] == ["nothing was audited"]
    assert problems(fine, unknown) == ["aiohttp was not audited: Dependency not found"]
    assert problems(fine, weak) == ["idna 3.0: CVE-1, fixed in 3.7"]


def test_every_requirement_has_one_lowest_version() -> None:
    exact = [bounds.lowest(requirement) for requirement in bounds.requirements()]
    assert any(line.startswith("aiohttp==") for line in exact)
    assert len(exact) > 6
    assert (
        bounds.lowest(Requirement("x[b,a]>=1.2; python_version<'4'")) == 'x[a,b]==1.2; python_version < "4"'
    )
    with pytest.raises(ValueError, match="one lower bound"):
        bounds.lowest(Requirement("x<3"))


def test_bill_that_lacks_something_is_refused() -> None:
    def bill(*names: str, version: str = "1") -> Any:
        parts = [{"name": name, "version": version} for name in names]
        return {"metadata": {"component": {"name": "taskrouter-worker"}}, "components": parts}

    assert sbom.problems(bill("aiohttp", "rich")) == []
    assert sbom.problems(bill("aiohttp")) == ["rich is not in it"]
    assert len(sbom.problems({})) == 3
    assert sbom.problems(bill("aiohttp", "rich", version="")) == [
        "aiohttp has no version",
        "rich has no version",
    ]
