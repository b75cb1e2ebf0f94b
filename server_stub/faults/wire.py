"""Faults on one websocket: how a frame is dropped, doubled, swapped or cut, and how a session goes silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType

from server_stub.views import HEARTBEAT, Frame

from .active import Faults, FaultyFrame, FrameFault

if TYPE_CHECKING:
    from server_stub.outbox import Session

__all__ = ["HALF_OPEN_SECONDS", "abort", "fall_silent", "forget_late", "reset", "write_frame"]

HALF_OPEN_SECONDS: Final = 120.0
"""How long a half-open connection is kept, in seconds: then it is cut, as the kernel gives a dead peer up.

Nothing is read from it, so that its client's end goes unnoticed."""

_LINGER_NOT: Final = struct.pack("ii", 1, 0)


async def write_frame(
    session: Session, frame: Frame, faults: Faults, half_open: Callable[[Session], None]
) -> None:
    """Write a frame to its session's websocket, or do to it what the faults ask for."""
    if frame is session.late:
        session.late = None
        await _send(session, frame.data)
        return
    # The frame that overtakes another one passes untouched, or the two could not be told apart.
    overtakes = session.late_timer is not None and frame is not HEARTBEAT
    fault = (
        None
        if overtakes
        else faults.on_frame(
            FaultyFrame(
                session.worker_sid, session.number, frame.event_type, frame.data, session.workspace.sid
            )
        )
    )
    if fault is None:
        await _send(session, frame.data)
    elif fault.action == "reorder":
        _put_back(session, frame, fault.delay)
    else:
        await _suffer(session, frame, fault, half_open)
    if overtakes and session.late is not None and session.late_timer is not None:
        late = session.late
        forget_late(session)
        await _send(session, late.data)


async def _suffer(
    session: Session, frame: Frame, fault: FrameFault, half_open: Callable[[Session], None]
) -> None:
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.action == "drop":
        return
    if fault.action == "cut_before":
        abort(session.transport)
        return
    if fault.action == "half_open":
        half_open(session)
        return
    data = frame.data if fault.replace is None else fault.replace
    await _send(session, data)
    if fault.action == "duplicate":
        await _send(session, data)
    if fault.action == "cut_after" and session.transport is not None:
        session.transport.close()  # sends what is buffered first; abort() would lose the frame


async def _send(session: Session, data: bytes) -> None:
    if not session.half_open:  # it may have become so while a delay was waited for
        await session.ws.send_frame(data, WSMsgType.TEXT)


def _put_back(session: Session, frame: Frame, seconds: float) -> None:
    def send_it_anyway() -> None:
        session.late_timer = None
        session.append(frame)

    session.late = frame
    session.late_timer = asyncio.get_running_loop().call_later(seconds, send_it_anyway)


def forget_late(session: Session) -> None:
    """The frame that waits to be overtaken is dealt with, or lost with its session."""
    if session.late_timer is not None:
        session.late_timer.cancel()
    session.late = session.late_timer = None


def fall_silent(session: Session) -> None:
    """From now on nothing is read from this session's connection and nothing written to it."""
    session.half_open = True
    session.take()  # and whatever is sent to it vanishes
    if session.transport is not None and session.transport.is_reading():
        session.transport.pause_reading()


def abort(transport: asyncio.Transport | None) -> None:
    """Cut a connection, without a close frame."""
    if transport is not None:
        transport.abort()


def reset(transport: asyncio.Transport | None) -> None:
    """End a connection by a TCP reset, where it is a TCP connection."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
