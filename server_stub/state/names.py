"""What a snapshot may be called. The command line knows it too: a path with ``..`` would lead elsewhere."""

from __future__ import annotations

import re
from typing import Final

from server_stub.domain.errors import InvalidArgument

__all__ = ["check_snapshot_name"]

_SNAPSHOT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_snapshot_name(name: str) -> None:
    """Refuse a name that no snapshot can have (our choice: it is a part of an address).

    Raises:
        InvalidArgument: it is not valid.
    """
    if _SNAPSHOT_NAME.fullmatch(name) is None:
        raise InvalidArgument(
            "The name of a snapshot is up to 64 letters, digits, '.', '_' and '-', no mark first,"
            f" got {name[:80]!r}"
        )
