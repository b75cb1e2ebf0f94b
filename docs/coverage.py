"""Writes ``docs/coverage.md``: what of TaskRouter the local server has, and what it has not.

``python -m docs.coverage`` from the root of the repository. Whether something is there is asked of the
server's own tables; that it works is shown by ``tests/test_coverage.py``, which fails when this page and
the server disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from server_stub.rest.operations import OPERATIONS as SERVED
from taskrouter_worker.terms import EventType, Instruction

PAGE: Final = Path(__file__).with_name("coverage.md")


class State(StrEnum):
    """How much one may rely on something."""

    TESTED = "documented and tested"
    INFERRED = "inferred"  # there and tested, but no page of Twilio's says that it is so
    ABSENT = "not there"


# --- REST operations ----------------------------------------------------------------------------

OPERATIONS: Final = (
    ("CreateWorkspace", "POST", ""),
    ("ListWorkspace", "GET", ""),
    ("UpdateWorkspace", "POST", "{Sid}"),
    ("FetchWorkspace", "GET", "{Sid}"),
    ("DeleteWorkspace", "DELETE", "{Sid}"),
    ("CreateActivity", "POST", "{WS}/Activities"),
    ("ListActivity", "GET", "{WS}/Activities"),
    ("UpdateActivity", "POST", "{WS}/Activities/{Sid}"),
    ("FetchActivity", "GET", "{WS}/Activities/{Sid}"),
    ("DeleteActivity", "DELETE", "{WS}/Activities/{Sid}"),
    ("FetchWorkspaceCumulativeStatistics", "GET", "{WS}/CumulativeStatistics"),
    ("ListEvent", "GET", "{WS}/Events"),
    ("FetchEvent", "GET", "{WS}/Events/{Sid}"),
    ("FetchWorkspaceRealTimeStatistics", "GET", "{WS}/RealTimeStatistics"),
    ("FetchWorkspaceStatistics", "GET", "{WS}/Statistics"),
    ("CreateTaskChannel", "POST", "{WS}/TaskChannels"),
    ("ListTaskChannel", "GET", "{WS}/TaskChannels"),
    ("UpdateTaskChannel", "POST", "{WS}/TaskChannels/{Sid}"),
    ("FetchTaskChannel", "GET", "{WS}/TaskChannels/{Sid}"),
    ("DeleteTaskChannel", "DELETE", "{WS}/TaskChannels/{Sid}"),
    ("CreateTaskQueue", "POST", "{WS}/TaskQueues"),
    ("ListTaskQueue", "GET", "{WS}/TaskQueues"),
    ("UpdateTaskQueue", "POST", "{WS}/TaskQueues/{Sid}"),
    ("FetchTaskQueue", "GET", "{WS}/TaskQueues/{Sid}"),
    ("DeleteTaskQueue", "DELETE", "{WS}/TaskQueues/{Sid}"),
    ("CreateTaskQueueBulkRealTimeStatistics", "POST", "{WS}/TaskQueues/RealTimeStatistics"),
    ("ListTaskQueuesStatistics", "GET", "{WS}/TaskQueues/Statistics"),
    ("FetchTaskQueueCumulativeStatistics", "GET", "{WS}/TaskQueues/{WQ}/CumulativeStatistics"),
    ("FetchTaskQueueRealTimeStatistics", "GET", "{WS}/TaskQueues/{WQ}/RealTimeStatistics"),
    ("FetchTaskQueueStatistics", "GET", "{WS}/TaskQueues/{WQ}/Statistics"),
    ("CreateTask", "POST", "{WS}/Tasks"),
    ("ListTask", "GET", "{WS}/Tasks"),
    ("UpdateTask", "POST", "{WS}/Tasks/{Sid}"),
    ("FetchTask", "GET", "{WS}/Tasks/{Sid}"),
    ("DeleteTask", "DELETE", "{WS}/Tasks/{Sid}"),
    ("ListTaskReservation", "GET", "{WS}/Tasks/{WT}/Reservations"),
    ("UpdateTaskReservation", "POST", "{WS}/Tasks/{WT}/Reservations/{Sid}"),
    ("FetchTaskReservation", "GET", "{WS}/Tasks/{WT}/Reservations/{Sid}"),
    ("CreateWorker", "POST", "{WS}/Workers"),
    ("ListWorker", "GET", "{WS}/Workers"),
    ("UpdateWorker", "POST", "{WS}/Workers/{Sid}"),
    ("FetchWorker", "GET", "{WS}/Workers/{Sid}"),
    ("DeleteWorker", "DELETE", "{WS}/Workers/{Sid}"),
    ("FetchWorkersCumulativeStatistics", "GET", "{WS}/Workers/CumulativeStatistics"),
    ("FetchWorkersRealTimeStatistics", "GET", "{WS}/Workers/RealTimeStatistics"),
    ("FetchWorkerStatistics", "GET", "{WS}/Workers/Statistics"),
    ("ListWorkerChannel", "GET", "{WS}/Workers/{WK}/Channels"),
    ("UpdateWorkerChannel", "POST", "{WS}/Workers/{WK}/Channels/{Sid}"),
    ("FetchWorkerChannel", "GET", "{WS}/Workers/{WK}/Channels/{Sid}"),
    ("ListWorkerReservation", "GET", "{WS}/Workers/{WK}/Reservations"),
    ("UpdateWorkerReservation", "POST", "{WS}/Workers/{WK}/Reservations/{Sid}"),
    ("FetchWorkerReservation", "GET", "{WS}/Workers/{WK}/Reservations/{Sid}"),
    ("FetchWorkerInstanceStatistics", "GET", "{WS}/Workers/{WK}/Statistics"),
    ("CreateWorkflow", "POST", "{WS}/Workflows"),
    ("ListWorkflow", "GET", "{WS}/Workflows"),
    ("UpdateWorkflow", "POST", "{WS}/Workflows/{Sid}"),
    ("FetchWorkflow", "GET", "{WS}/Workflows/{Sid}"),
    ("DeleteWorkflow", "DELETE", "{WS}/Workflows/{Sid}"),
    ("FetchWorkflowCumulativeStatistics", "GET", "{WS}/Workflows/{WW}/CumulativeStatistics"),
    ("FetchWorkflowRealTimeStatistics", "GET", "{WS}/Workflows/{WW}/RealTimeStatistics"),
    ("FetchWorkflowStatistics", "GET", "{WS}/Workflows/{WW}/Statistics"),
)
"""Every operation of TaskRouter's OpenAPI document: its id, method, and path below /v1/Workspaces."""


def shape(path: str) -> str:
    """A path whatever its variables are called."""
    return re.sub(r"\{[^}]*\}", "{}", path.strip("/"))


def served(method: str, path: str) -> bool:
    """Whether the server has the operation."""
    return any((op.method, shape(op.path)) == (method, shape(path)) for op in SERVED)


# --- Events -------------------------------------------------------------------------------------

ABSENT_EVENTS: Final[frozenset[EventType]] = frozenset()
"""Events of TaskRouter's list that never happen here."""

EVENT_NOTES: Final = {
    EventType.RESERVATION_FAILED: "The time limit is not published: here 5 seconds.",
    EventType.TASK_UPDATED: "Also pushed, outside the history, where the engine changed the task.",
    EventType.TASK_TRANSFER_ATTEMPT_FAILED: "Transfers to a queue only.",
    EventType.TASK_SYSTEM_DELETED: "After 24 hours in `assigned`.",
}

# --- Instructions -------------------------------------------------------------------------------

INSTRUCTIONS: Final = {
    Instruction.ACCEPT: "",
    Instruction.REJECT: "",
    Instruction.DEQUEUE: "Telephony is simulated: the worker answers at once.",
    Instruction.CALL: "Telephony is simulated: the worker answers at once; no document is fetched.",
    Instruction.REDIRECT: "Telephony is simulated: it is noted; no document is fetched.",
    Instruction.CONFERENCE: "Telephony is simulated: worker and customer join at once.",
    Instruction.SUPERVISE: "Telephony is simulated: the supervisor joins at once, if there is a conference. "
    "Not in answers to callbacks.",
}

# --- Workflow configurations --------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A key of a workflow configuration. `test` is a test of tests/domain that shows what it does."""

    name: str
    place: str
    state: State
    test: str
    note: str = ""


KEYS: Final = (
    Key("task_routing", "root", State.TESTED, "test_a_published_configuration_is_read_completely"),
    Key(
        "filters",
        "task_routing",
        State.TESTED,
        "test_the_first_matching_filter_takes_the_task_and_sets_queue_and_priority",
    ),
    Key(
        "default_filter",
        "task_routing",
        State.TESTED,
        "test_the_default_filter_takes_what_no_filter_takes",
    ),
    Key(
        "filter_friendly_name",
        "filter",
        State.TESTED,
        "test_each_filter_tells_whether_it_takes_the_task_and_why_not",
    ),
    Key(
        "friendly_name",
        "filter, target",
        State.INFERRED,
        "test_a_published_configuration_is_read_completely",
        "Older spelling.",
    ),
    Key(
        "expression",
        "filter",
        State.TESTED,
        "test_the_first_matching_filter_takes_the_task_and_sets_queue_and_priority",
        "A filter without one takes every task (inferred).",
    ),
    Key(
        "targets",
        "filter",
        State.TESTED,
        "test_step_deadlines_add_up_from_the_moment_the_filter_took_the_task",
    ),
    Key(
        "queue", "target, default_filter", State.TESTED, "test_the_default_filter_takes_what_no_filter_takes"
    ),
    Key(
        "task_queue_sid",
        "default_filter",
        State.INFERRED,
        "test_a_published_configuration_is_read_completely",
        "Older spelling of `queue`.",
    ),
    Key(
        "priority",
        "target",
        State.TESTED,
        "test_the_first_matching_filter_takes_the_task_and_sets_queue_and_priority",
        "Numbers as text are taken too.",
    ),
    Key(
        "timeout",
        "target",
        State.TESTED,
        "test_step_deadlines_add_up_from_the_moment_the_filter_took_the_task",
        "Deadlines add up.",
    ),
    Key(
        "expression",
        "target",
        State.TESTED,
        "test_worker_whom_the_target_does_not_want_is_told_both_sides_of_the_expression",
    ),
    Key(
        "order_by",
        "target",
        State.TESTED,
        "test_order_by_compares_integers_and_puts_workers_without_them_last",
    ),
    Key("skip_if", "target", State.TESTED, "test_skip_if_counts_the_workers_of_the_queue"),
    Key("known_worker_sid", "target", State.TESTED, "test_a_known_worker_is_the_only_one_for_its_step"),
    Key(
        "known_worker_friendly_name",
        "target",
        State.TESTED,
        "test_a_known_worker_is_the_only_one_for_its_step",
    ),
    Key(
        "target_friendly_name",
        "target",
        State.INFERRED,
        "test_a_published_configuration_is_read_completely",
        "Shown as `workflow_filter_target_name` of events.",
    ),
)

# --- Operators ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operator:
    """An operator of expressions, with an example that holds for `SAMPLE` and one that does not."""

    spelling: str
    state: State
    holds: str
    fails: str
    note: str = ""


SAMPLE: Final[dict[str, object]] = {"n": 5, "t": "Ana", "b": True, "tags": ["a", "b"], "o": {"x": {"y": 7}}}
"""The attributes by which the examples are judged."""

OPERATORS: Final = (
    Operator("==", State.TESTED, "n == 5", 'n == "5"'),
    Operator("=", State.TESTED, "n = 5", "n = 6"),
    Operator("!=", State.TESTED, 't != "Bo"', 'tags != "a"', "False where an array is compared."),
    Operator("<>", State.INFERRED, "n <> 4", "n <> 5", "Equals `!=`."),
    Operator("<", State.TESTED, "n < 6", "missing < 6"),
    Operator("<=", State.TESTED, "n <= 5", "n <= 4"),
    Operator(">", State.TESTED, "n > 4", "t > 3", "Strings compare by code point (inferred)."),
    Operator(">=", State.TESTED, "n >= 5", "n >= 6"),
    Operator("CONTAINS", State.TESTED, 't CONTAINS "na"', 'tags CONTAINS "a"', "Part of a string."),
    Operator("IN", State.TESTED, 't IN ["Ana", "Bo"]', 't IN "Ana"'),
    Operator("<-", State.TESTED, 't <- ["Ana"]', "t <- []", "Equals `IN`."),
    Operator("NOT IN", State.TESTED, 't NOT IN ["Bo"]', 't NOT IN "Bo"'),
    Operator("HAS", State.TESTED, 'tags HAS "a"', 't HAS "Ana"'),
    Operator(">-", State.TESTED, 'tags >- "b"', 'tags >- "c"', "Equals `HAS`."),
    Operator("AND", State.TESTED, "n > 4 AND n <= 5", "n > 4 AND n > 5"),
    Operator("OR", State.TESTED, "n == 1 OR n == 5", "n == 1 OR n == 2", "`AND` binds tighter (inferred)."),
    Operator("NOT", State.INFERRED, "NOT n == 4", "NOT b", "In front of a comparison or parenthesis."),
    Operator("( )", State.TESTED, "(n == 4 OR n == 5) AND b == true", "(n == 4) OR (n == 6)"),
    Operator(".", State.TESTED, "o.x.y == 7", "o.x.z == 7"),
    Operator("[0]", State.TESTED, 'tags[0] == "a"', 'tags[9] == "a"'),
    Operator(
        "TRUE", State.TESTED, "b == TRUE", "n == true", "A bare `b` is true where it is true (inferred)."
    ),
    Operator("FALSE", State.TESTED, "NOT b == FALSE", "b == false"),
    Operator("NULL", State.TESTED, "missing == NULL", "tags == null", "What is missing is null."),
)

ABSENT: Final = (
    ("`operating_unit_sid`", "in no REST body and no callback: operating units do not exist here"),
    ("`addons` of tasks", "always empty, as there are no add-ons; `HasAddons` filters accordingly"),
    (
        "Telephony",
        "no call is made and no TwiML document is fetched: instructions make up calls and keep a record",
    ),
    (
        "Twilio's own rate limits",
        "there is no limit unless `--max-requests-per-second` sets one; then 429 with `X-Rate-Limit-*`",
    ),
    (
        "GraphQL variant of the JavaScript SDK",
        "experimental in the SDK, and cannot be pointed at another server",
    ),
)
"""What else TaskRouter has and this server has not."""


# --- The page -----------------------------------------------------------------------------------


def state_of_operation(method: str, path: str) -> State:
    """What the page says of an operation."""
    return State.TESTED if served(method, path) else State.ABSENT


def state_of_event(event: EventType) -> State:
    """What the page says of an event."""
    return State.ABSENT if event in ABSENT_EVENTS else State.TESTED


def render() -> str:
    """The whole page."""
    operations = [
        (
            f"`{name}`",
            f"`{method} /v1/Workspaces{f'/{path}' if path else ''}`",
            state_of_operation(method, path),
        )
        for name, method, path in OPERATIONS
    ]
    events = [
        (f"`{event}`", "yes" if event.is_pushed else "", state_of_event(event), EVENT_NOTES.get(event, ""))
        for event in EventType
    ]
    instructions = [(f"`{word}`", State.TESTED, note) for word, note in INSTRUCTIONS.items()]
    keys = [(f"`{key.name}`", key.place, key.state, key.note) for key in KEYS]
    operators = [
        (f"`{op.spelling}`", f"`{op.holds}`", f"`{op.fails}`", op.state, op.note) for op in OPERATORS
    ]
    there = sum(state is not State.ABSENT for *_, state in operations)
    return "\n".join(
        [
            "# Coverage",
            "",
            "What of TaskRouter the local server has. This page is written by `python -m docs.coverage`;",
            "`tests/test_coverage.py` plays every row against the server and fails when one is not true.",
            "",
            f"* **{State.TESTED}**: it does what Twilio's documentation says, and a test shows it.",
            f"* **{State.INFERRED}**: it is there and tested, but Twilio's documentation does not say so:",
            "  the most coherent reading was built.",
            f"* **{State.ABSENT}**: the server does not have it.",
            "",
            "Whoever has an account can compare: `python -m tests.conformance --target=twilio`.",
            "",
            f"## REST operations: {there} of {len(operations)}",
            "",
            *_table(("Operation", "Request", "State"), operations),
            "",
            "## Events",
            "",
            "Each is in the Events resource and goes to the event callback.",
            "",
            *_table(("Event", "Pushed to workers", "State", "Note"), events),
            "",
            "## Instructions",
            "",
            "By REST, by the worker SDKs, and in answers to assignment callbacks.",
            "",
            *_table(("Instruction", "State", "Note"), instructions),
            "",
            "## Workflow configuration",
            "",
            *_table(("Key", "Where", "State", "Note"), keys),
            "",
            "## Expressions",
            "",
            f"The examples are judged by the attributes `{SAMPLE}`.",
            "",
            *_table(("Operator", "Holds", "Does not hold", "State", "Note"), operators),
            "",
            "## Not there",
            "",
            *(f"* {what}: {why}." for what, why in ABSENT),
            "",
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row).replace('  ', ' ').rstrip()} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
