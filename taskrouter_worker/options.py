"""Options of the instructions: their names, types, and how they are called on the wire.

Ranges and allowed words are left to the service, which knows them; types are checked here, before
anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast

from ._requests import pascal_case

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable

    import aiohttp

    from ._backoff import Backoff
    from ._snapshot import ReconnectActivity
    from ._token_keeper import TokenProvider
    from ._transport import SharedSession
    from .clock import Clock
    from .recording import Recorder
    from .telemetry import Telemetry
    from .worker import LogLevel

__all__ = ["ConferenceOptions", "WorkerOptions", "instruction_params"]


class ConferenceOptions(TypedDict, total=False):
    """Options of `Reservation.conference` (REST API, Reservation resource).

    Further ones pass through under their wire name: ``new_option`` travels as ``NewOption``.
    """

    to: str  # contact URI of the worker; its attribute contact_uri unless given
    from_: str  # caller id
    timeout: int  # seconds the worker's phone rings
    status_callback: str  # URL
    status_callback_method: str  # GET, POST
    status_callback_event: Sequence[str] | str  # initiated, ringing, answered, completed
    record: bool | str
    muted: bool
    beep: bool | str  # true, false, onEnter, onExit
    beep_on_customer_entrance: bool
    start_conference_on_enter: bool
    end_conference_on_exit: bool
    end_conference_on_customer_exit: bool
    early_media: bool
    wait_url: str
    wait_method: str  # GET, POST
    max_participants: int  # 2 to 250
    conference_status_callback: str  # URL
    conference_status_callback_method: str  # GET, POST
    conference_status_callback_event: Sequence[str] | str  # start, end, join, leave, mute, hold, speaker
    conference_record: bool | str
    conference_trim: str  # trim-silence, do-not-trim
    recording_channels: str  # mono, dual
    recording_status_callback: str  # URL
    recording_status_callback_method: str  # GET, POST
    conference_recording_status_callback: str  # URL
    conference_recording_status_callback_method: str  # GET, POST
    region: str
    sip_auth_username: str
    sip_auth_password: str
    post_work_activity_sid: str
    jitter_buffer_size: str
    transcribe: bool
    transcription_configuration: str


class WorkerOptions(TypedDict, total=False):
    """Options of `Worker`, for what makes workers: see there."""

    token_provider: TokenProvider | None
    connect_activity_sid: str | None
    close_existing_sessions: bool
    set_worker_offline_if_disconnected: bool | None
    region: str | None
    edge: str | None
    eb_server: str | None
    ws_server: str | None
    enable_version_check: bool
    log_level: LogLevel | None
    reconnect_activity: ReconnectActivity
    emit_existing: bool
    reconnect_backoff: Backoff | None
    request_timeout: float
    ssl_context: ssl.SSLContext | None
    proxy: str | Literal[True] | None
    http_session: aiohttp.ClientSession | SharedSession | None
    telemetry: Telemetry | None
    record: str | os.PathLike[str] | Callable[[str], object] | Recorder | None
    clock: Clock | None


_TEXT: Final = (str,)
_FLAG: Final = (bool,)
_FLAG_OR_TEXT: Final = (bool, str)
_WORDS: Final = (str, list, tuple)

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "to": _TEXT,
    "from_": _TEXT,
    "url": _TEXT,
    "accept": _FLAG,
    "timeout": (int,),
    "status_callback": _TEXT,
    "status_callback_method": _TEXT,
    "status_callback_event": _WORDS,
    "status_callback_events": _WORDS,
    "status_callback_url": _TEXT,
    "record": _FLAG_OR_TEXT,
    "muted": _FLAG,
    "beep": _FLAG_OR_TEXT,
    "beep_on_customer_entrance": _FLAG,
    "start_conference_on_enter": _FLAG,
    "end_conference_on_exit": _FLAG,
    "end_conference_on_customer_exit": _FLAG,
    "early_media": _FLAG,
    "wait_url": _TEXT,
    "wait_method": _TEXT,
    "max_participants": (int,),
    "conference_status_callback": _TEXT,
    "conference_status_callback_method": _TEXT,
    "conference_status_callback_event": _WORDS,
    "conference_record": _FLAG_OR_TEXT,
    "conference_trim": _TEXT,
    "recording_channels": _TEXT,
    "recording_status_callback": _TEXT,
    "recording_status_callback_method": _TEXT,
    "conference_recording_status_callback": _TEXT,
    "conference_recording_status_callback_method": _TEXT,
    "region": _TEXT,
    "sip_auth_username": _TEXT,
    "sip_auth_password": _TEXT,
    "post_work_activity_sid": _TEXT,
    "jitter_buffer_size": _TEXT,
    "transcribe": _FLAG,
    "transcription_configuration": _TEXT,
    "call_sid": _TEXT,
    "mute": _FLAG,
    "beep_on_exit": _FLAG,
    "hold": _FLAG,
    "hold_url": _TEXT,
    "hold_method": _TEXT,
}
"""The types of each option, whichever instruction takes it. A bool is no int here."""

_SECRET: Final = frozenset({"sip_auth_password"})


def instruction_params(options: Mapping[str, object], *, prefix: str = "") -> dict[str, object]:
    """Options as the wire's parameters; those that are None were not given.

    Args:
        options: by their Python names.
        prefix: put before each name, such as ``Dequeue``.

    Raises:
        TypeError: an option has the wrong type; its name and value are in the text.
    """
    for name, value in options.items():
        expected = TYPES.get(name)
        if value is None or expected is None:
            continue
        if not _fits(value, expected):
            kinds = " or ".join(kind.__name__ for kind in expected)
            shown = "(value not shown)" if name in _SECRET else f"{type(value).__name__}: {value!r}"
            raise TypeError(f"{name} must be {kinds}, got {shown}")
    return {f"{prefix}{name}": value for name, value in pascal_case(options.items()).items()}


def _fits(value: object, expected: tuple[type, ...]) -> bool:
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        return False
    if isinstance(value, list | tuple):
        return all(isinstance(word, str) for word in cast("Sequence[object]", value))
    return True
