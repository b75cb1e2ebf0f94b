"""Fault injection: what goes wrong between a client and this server, for whom, and when.

`StubServer.faults` is all quiet until it is told otherwise, and costs nothing then. Rules stand until
they are used up or removed, actions are done at once::

    server.faults.add(FaultRule(fault=FaultKind.REFUSE_REQUEST, status=503, times=2, method="POST"))
    server.faults.refuse_requests(503, times=2, method="POST")  # the same
    server.faults.cut(worker_sid=nina)

Tests that want to decide for themselves set a hook, which is asked before the rules. It returns what
shall happen, or None to leave it to them::

    server.faults.frame = lambda frame: FrameFault("cut_before") if frame.event_type == "init" else None
    server.faults.request = lambda request: RequestFault(status=503) if request.method == "POST" else None

Everything here is called in the server's event loop. `docs/faults.md` has the table of faults.
"""

from __future__ import annotations

from .active import (
    FaultHandle,
    Faults,
    FaultyFrame,
    FaultyRequest,
    FrameFault,
    RequestFault,
    Struck,
    WebsocketFault,
)
from .rules import ActionKind, FaultAction, FaultKind, FaultPlan, FaultRecord, FaultRule

__all__ = [
    "ActionKind",
    "FaultAction",
    "FaultHandle",
    "FaultKind",
    "FaultPlan",
    "FaultRecord",
    "FaultRule",
    "Faults",
    "FaultyFrame",
    "FaultyRequest",
    "FrameFault",
    "RequestFault",
    "Struck",
    "WebsocketFault",
]
