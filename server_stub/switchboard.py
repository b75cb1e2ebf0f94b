"""The made-up telephony over HTTP: what it records, and how somebody hangs up.

Below ``/stub/workspaces/{WS}``, with the REST API's credentials. Nothing like it exists in TaskRouter,
where calls are Twilio's business; here tests read what instructions did and end their calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from aiohttp import web

from .domain.errors import DomainError, NotFound
from .domain.instruction_options import Callback
from .domain.telephony import Call, Conference, Participant, Redirect, StatusCallback
from .domain.workspace import Workspace
from .replies import ApiError, method_not_allowed
from .runtime import InternalError, Runtime

__all__ = ["Switchboard"]

Json = dict[str, object]


class Switchboard:
    """Shows and ends calls.

    Args:
        runtime: the workspaces.
        guard: refuses, with an ApiError, who may not ask.
    """

    def __init__(self, runtime: Runtime, *, guard: Callable[[web.Request], None]) -> None:
        self._runtime = runtime
        self._guard = guard

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the addresses."""
        router.add_route("*", "/stub/workspaces/{workspace}/telephony", self.telephony)
        router.add_route("*", "/stub/workspaces/{workspace}/calls/{call}/end", self.end)

    async def telephony(self, request: web.Request) -> web.StreamResponse:
        """The workspace's calls, conferences, redirects and status callbacks, each oldest first."""
        self._guard(request)
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method, "GET")
        record = self._workspace(request).telephony
        return _json(
            {
                "calls": [_call(call) for call in record.calls.values()],
                "conferences": [_conference(conference) for conference in record.conferences.values()],
                "redirects": [_redirect(redirect) for redirect in record.redirects],
                "status_callbacks": [_status_callback(callback) for callback in record.status_callbacks],
            }
        )

    async def end(self, request: web.Request) -> web.StreamResponse:
        """End a call; the answer shows it. What it sets off is told by the usual events."""
        self._guard(request)
        if request.method != "POST":
            raise method_not_allowed(request.method, "POST")
        workspace, sid = self._workspace(request), request.match_info["call"]
        try:
            shown = self._runtime.run(workspace, lambda ws: _call(ws.end_call(sid)))
        except NotFound as error:
            raise ApiError(404, str(error)) from None
        except DomainError as error:
            raise ApiError.of(error) from None
        except InternalError as error:
            raise ApiError(500, str(error)) from None
        return _json(shown)

    def _workspace(self, request: web.Request) -> Workspace:
        try:
            return self._runtime.workspace(request.match_info["workspace"])
        except NotFound as error:
            raise ApiError(404, str(error)) from None


def _call(call: Call) -> Json:
    return {
        "sid": call.sid,
        "role": call.role,
        "instruction": call.instruction,
        "status": call.status,
        "task_sid": call.task.sid,
        "reservation_sid": call.reservation.sid,
        "worker_sid": call.worker_sid,
        "conference_sid": None if call.conference is None else call.conference.sid,
        "to": call.to,
        "from": call.from_,
        "url": call.url,
        "timeout": call.timeout,
        "record": call.record,
        "early_media": call.early_media,
        "sip_auth_username": call.sip_auth_username,
        "post_work_activity_sid": call.post_work_activity_sid,
        "status_callback": _callback(call.status_callback),
        "recording_status_callback": _callback(call.recording_status_callback),
        "date_created": call.date_created,
        "date_ended": call.date_ended,
    }


def _conference(conference: Conference) -> Json:
    return {
        "sid": conference.sid,
        "friendly_name": conference.friendly_name,
        "status": conference.status,
        "task_sid": conference.task.sid,
        "max_participants": conference.max_participants,
        "record": conference.record,
        "trim": conference.trim,
        "recording_channels": conference.recording_channels,
        "region": conference.region,
        "wait_url": conference.wait_url,
        "wait_method": conference.wait_method,
        "transcribe": conference.transcribe,
        "transcription_configuration": conference.transcription_configuration,
        "status_callback": _callback(conference.status_callback),
        "recording_status_callback": _callback(conference.recording_status_callback),
        "participants": [_participant(participant) for participant in conference.participants],
        "date_created": conference.date_created,
        "date_ended": conference.date_ended,
    }


def _participant(participant: Participant) -> Json:
    call = participant.call
    return {
        "call_sid": call.sid,
        "role": call.role,
        "worker_sid": call.worker_sid,
        "muted": participant.muted,
        "hold": participant.hold,
        "hold_url": participant.hold_url,
        "hold_method": participant.hold_method,
        "end_conference_on_exit": participant.end_conference_on_exit,
        "beep": participant.beep,
        "beep_on_exit": participant.beep_on_exit,
        "supervisor_mode": participant.mode,
        "jitter_buffer_size": participant.jitter_buffer_size,
        "date_joined": participant.date_joined,
        "date_left": participant.date_left,
    }


def _redirect(redirect: Redirect) -> Json:
    return {
        "call_sid": redirect.call_sid,
        "url": redirect.url,
        "accept": redirect.accept,
        "task_sid": redirect.task_sid,
        "reservation_sid": redirect.reservation_sid,
        "at": redirect.at,
    }


def _status_callback(callback: StatusCallback) -> Json:
    return {
        "kind": callback.kind,
        "event": callback.event,
        "sid": callback.sid,
        "task_sid": callback.task_sid,
        "url": callback.url,
        "method": callback.method,
        "parameters": dict(callback.parameters),
        "at": callback.at,
    }


def _callback(callback: Callback | None) -> Json | None:
    if callback is None:
        return None
    return {"url": callback.url, "method": callback.method, "events": list(callback.events)}


def _json(body: Json) -> web.Response:
    # Not msgspec: what customers wrote may hold characters that it refuses to write.
    return web.Response(text=json.dumps(body), content_type="application/json")
