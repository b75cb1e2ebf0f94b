"""Write ``dist/sbom.json``: a CycloneDX bill of materials of the wheel with its server.

``python -m tests.supply_chain.sbom``, or `make sbom`. It describes an environment into which the wheel was
just installed with the pinned versions, so that it lists what users get and nothing that only tests need.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
TARGET: Final = ROOT / "dist" / "sbom.json"


def build(scratch: Path) -> Path:
    """The wheel, made in `scratch`."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(scratch), str(ROOT)], check=True)
    [wheel] = scratch.glob("*.whl")
    return wheel


def install(wheel: Path, where: Path) -> Path:
    """An environment without pip that holds the wheel and what it needs; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", where], check=True)
    python = where / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    constraints = ["--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *constraints, f"{wheel}[server]"], check=True)
    return python


def problems(bill: Any) -> list[str]:  # Any: CycloneDX's JSON
    """What a bill must not lack, a line each."""
    components = {item["name"].lower(): item for item in bill.get("components", [])}
    root = bill.get("metadata", {}).get("component", {}).get("name")
    names = {*components, (root or "").lower()}
    missing = [
        f"{name} is not in it" for name in ("taskrouter-worker", "aiohttp", "rich") if name not in names
    ]
    return missing + [
        f"{name} has no version" for name, item in components.items() if not item.get("version")
    ]


def main() -> int:
    """Write it, and say how long it is."""
    with tempfile.TemporaryDirectory() as scratch:
        python = install(build(Path(scratch)), Path(scratch) / "venv")
        TARGET.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
        command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-format", "JSON"]
        command += ["--output-file", str(TARGET), str(python)]
        subprocess.run(command, check=True)
    bill = json.loads(TARGET.read_text(encoding="utf-8"))
    found = problems(bill)
    for problem in found:
        print(f"{TARGET}: {problem}", file=sys.stderr)
    print(f"{TARGET.relative_to(ROOT)}: {len(bill.get('components', []))} components")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
