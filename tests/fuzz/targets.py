"""Every fuzz target: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server_stub.callbacks import _Unusable
from server_stub.domain.errors import DomainError, InvalidArgument
from server_stub.domain.expression import ExpressionError
from server_stub.domain.instruction_options import PARAMETERS
from server_stub.domain.records import DamagedDocument
from server_stub.replies import ApiError
from server_stub.rest.operations import OPERATIONS
from server_stub.seeding.problems import SeedError
from server_stub.tokens import TokenRefused
from taskrouter_worker.errors import InvalidMessageError, RequestError
from taskrouter_worker.events import _PAYLOADS

from . import document_seeds, documents, doors, request_seeds, rules, sdk, seeds, state_seeds
from .mutation import mutated_request, mutated_text
from .target import Target

__all__ = ["TARGETS"]

_EVENTS: Final = tuple(map(str, _PAYLOADS))
_JSON: Final = ("{", "}", "[", "]", ":", ",", '"', "null", "true", "1e400", "\\u0000", "\\ud800")
_LANGUAGE: Final = (
    *(" AND ", " OR ", "NOT ", " IN ", " HAS ", " CONTAINS ", " NOT IN ", "TRUE", "FALSE", "NULL"),
    *("==", "!=", "<>", "<=", ">=", "<-", ">-", "[", "]", "(", ")", "'", '"', "\\", ".", ",", "-", "1.5"),
    *("worker.", "task.", "tags", "n", "workers.available"),
)
_PARAMETERS: Final = tuple({param.name for operation in OPERATIONS for param in operation.params})
_CLAIMS: Final = (
    *("iss", "sub", "exp", "nbf", "grants", "task_router", "workspace_sid", "worker_sid", "role", "policies"),
    *("worker", "supervisor", "admin", "url", "method", "allow", "query_filter", "post_filter", "required"),
    *("account_sid", "**", "*", "http://[", "GET", "POST"),
)
_SERVER: Final = ("server_stub",)
_SDK: Final = ("taskrouter_worker",)

_ALL: Final = (
    Target(
        name="frames",
        parse=sdk.frames,
        refusals=(InvalidMessageError,),
        seeds=seeds.frames,
        packages=_SDK,
        words=(*_EVENTS, *_JSON, "event_type", "payload", "task"),
    ),
    Target(
        name="answers",
        parse=sdk.answers,
        refusals=(RequestError,),
        seeds=seeds.answers,
        packages=("taskrouter_worker", "email"),
        words=(*_JSON, "payload", "contents", "code", "message", "GMT", "+9999", "Feb", "29"),
    ),
    Target(
        name="sdk-tokens",
        parse=sdk.sdk_tokens,
        refusals=(ValueError,),
        seeds=seeds.sdk_tokens,
        packages=_SDK,
        words=("e30", ".", "=", "bnVsbA", "W10"),
        change=mutated_text,
    ),
    Target(
        name="server-tokens",
        parse=doors.server_tokens,
        refusals=(TokenRefused,),
        seeds=seeds.server_tokens,
        packages=_SERVER,
        words=_CLAIMS,
    ),
    Target(
        name="envelopes",
        parse=doors.envelopes,
        refusals=(ApiError,),
        seeds=seeds.bridge_requests,
        packages=_SERVER,
        words=(*_JSON, "url", "method", "params", "token", "/", "GET", "POST", "Active", "PageSize"),
    ),
    Target(
        name="forms",
        parse=rules.forms,
        refusals=(ApiError,),
        seeds=seeds.forms,
        packages=_SERVER,
        words=(
            *_PARAMETERS,
            "&",
            "=",
            "%",
            "+",
            ";",
            "%00",
            "%ff",
            "true",
            "2025-03-01T09:15:30Z",
            "http://[",
        ),
        change=mutated_text,
    ),
    Target(
        name="expressions",
        parse=rules.expressions,
        refusals=(ExpressionError,),
        seeds=seeds.expressions,
        packages=_SERVER,
        words=_LANGUAGE,
        change=mutated_text,
    ),
    Target(
        name="workflows",
        parse=rules.workflows,
        refusals=(InvalidArgument,),
        seeds=seeds.workflows,
        packages=_SERVER,
        words=(
            *_LANGUAGE,
            *_JSON,
            "task_routing",
            "filters",
            "targets",
            "queue",
            "order_by",
            "WQ" + "0" * 32,
        ),
    ),
    Target(
        name="instructions",
        parse=rules.instructions,
        refusals=(InvalidArgument,),
        seeds=seeds.instructions,
        packages=_SERVER,
        words=(*PARAMETERS, "client:a", "sip:a", "+15005550006", "http://[", "true", "record-from-start"),
    ),
    Target(
        name="callback-answers",
        parse=rules.callback_answers,
        refusals=(_Unusable, InvalidArgument),
        seeds=seeds.callback_answers,
        packages=_SERVER,
        words=(
            "instruction",
            "accept",
            "reject",
            "dequeue",
            "call",
            "redirect",
            "conference",
            "to",
            "from",
            "_",
        ),
    ),
    Target(
        name="seed-json",
        parse=documents.seed_text("json"),
        refusals=(SeedError,),
        seeds=seeds.seed_json,
        packages=_SERVER,
        words=_JSON,
        max_length=1_024,
    ),
    Target(
        name="seed-toml",
        parse=documents.seed_text("toml"),
        refusals=(SeedError,),
        seeds=seeds.seed_toml,
        packages=_SERVER,
        words=(
            "[[",
            "]]",
            "[",
            "]",
            "=",
            '"""',
            "'''",
            ".",
            "#",
            "\\u00e9",
            "2025-03-01",
            "inf",
            "0x1f",
            "{",
            "}",
        ),
        change=mutated_text,
        max_length=1_024,
    ),
    Target(
        name="seed-yaml",
        parse=documents.seed_text("yaml"),
        refusals=(SeedError,),
        seeds=seeds.seed_yaml,
        packages=_SERVER,
        words=(
            "- ",
            ": ",
            "? ",
            "&a ",
            "*a",
            "!!int ",
            "!!str",
            "|\n",
            ">-\n",
            "{",
            "}",
            "[",
            "]",
            "---\n",
            "#",
            "~",
        ),
        change=mutated_text,
        max_length=512,
    ),
    Target(
        name="seed-documents",
        parse=documents.seed_documents,
        refusals=(SeedError,),
        seeds=document_seeds.seed_documents,
        packages=_SERVER,
        words=document_seeds.SEED_WORDS,
        max_length=2_560,
    ),
    Target(
        name="recordings",
        parse=sdk.recordings,
        refusals=(ValueError,),
        seeds=seeds.recordings,
        packages=("taskrouter_worker", "server_stub"),
        words=(
            *_JSON,
            "type",
            "frame",
            "request",
            "answer",
            "opened",
            "closed",
            "refused",
            "connection",
            "\n",
        ),
    ),
    Target(
        name="recorder",
        parse=sdk.recorder,
        refusals=(),
        seeds=seeds.recorder,
        packages=_SDK,
        words=(*_JSON, *_EVENTS, "TOKEN", "payload", "event_type", "init", "channel_id"),
    ),
    Target(
        name="state",
        parse=documents.state,
        refusals=(InvalidArgument, DamagedDocument),
        seeds=state_seeds.state_seeds,
        packages=_SERVER,
        words=state_seeds.STATE_WORDS,
        max_length=32_768,
    ),
    Target(
        name="stored-records",
        parse=documents.stored_records,
        refusals=(DamagedDocument,),
        seeds=seeds.stored_records,
        packages=_SERVER,
        words=("gone", "sid", "kind", "type", "null"),
    ),
    Target(
        name="faults",
        parse=rules.faults,
        refusals=(ValueError,),
        seeds=seeds.faults,
        packages=_SERVER,
        words=(
            "fault",
            "action",
            "log",
            "rule",
            "rule_id",
            "number",
            "at",
            "nth",
            "hit",
            "share",
            "only",
            "drop",
        ),
    ),
    Target(
        name="rest-requests",
        parse=doors.rest_requests,
        refusals=(DomainError,),
        seeds=request_seeds.rest_requests,
        packages=_SERVER,
        words=request_seeds.REQUEST_WORDS,
        change=mutated_request,
        max_length=2_048,
    ),
    Target(
        name="bridge-requests",
        parse=doors.bridge_requests,
        refusals=(),
        seeds=seeds.bridge_requests,
        packages=_SERVER,
        words=(*_JSON, *PARAMETERS, "TOKEN0", "TOKEN1", "TOKEN2", "GET", "POST"),
        max_length=2_048,
    ),
)

TARGETS: Final[Mapping[str, Target]] = {target.name: target for target in _ALL}
"""By name."""
