"""``taskrouter-stub serve --env-file``: how to reach the server, as lines for a shell or a container."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["write_env_file"]

_NAMES: Final = {
    "rest_url": "TASKROUTER_STUB_URL",
    "account_sid": "TASKROUTER_STUB_ACCOUNT_SID",
    "auth_token": "TASKROUTER_STUB_AUTH_TOKEN",
    "signing_key_sid": "TASKROUTER_STUB_SIGNING_KEY_SID",
    "signing_key_secret": "TASKROUTER_STUB_SIGNING_KEY_SECRET",
    "workspace_sid": "TASKROUTER_STUB_WORKSPACE_SID",
    "eb_server": "TASKROUTER_EB_SERVER",
    "ws_server": "TASKROUTER_WS_SERVER",
}
"""Variables that the other commands read, and `taskrouter-worker`."""


def write_env_file(path: Path, reach: Mapping[str, str]) -> None:
    """Write the lines, for the owner's eyes only: secrets are among them. An older file is replaced.

    Args:
        path: the file.
        reach: what `serve --json` prints.

    Raises:
        OSError: it cannot be written.
    """
    lines = "".join(f"{name}={shlex.quote(reach[key])}\n" for key, name in _NAMES.items())
    # A new file under another name: it is never there half written, nor with another's permissions.
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(lines)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
