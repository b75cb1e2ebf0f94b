"""Tries a seed out without a server."""

from __future__ import annotations

import time

from server_stub.domain.model import Limits
from taskrouter_worker.terms import SidPrefix

from .build import build
from .sids import SeedSids
from .source import Source

__all__ = ["try_out"]


def try_out(source: Source, *, limits: Limits) -> None:
    """Make the workspaces and drop them.

    Raises:
        SeedError: something is wrong with the seed; every problem is told.
    """
    build(
        source,
        account_sid=f"{SidPrefix.ACCOUNT}{0:032x}",
        now=lambda _: time.time,
        sids=lambda name: SeedSids("trial", name, repeatable=True),
        limits=limits,
    )
