"""Who does what: the bot's rules, and the workflow that leads tasks to bots and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BOT_SECONDS = 30
"""How long a task waits for a bot before people get it."""

ANSWERS = {
    "opening hours": "We are open from 9 to 17.",
    "order status": "Your order is on its way.",
}


def why_not(attributes: Mapping[str, Any]) -> str | None:
    """Why the bot leaves a task to people; None if it takes it."""
    if attributes.get("vip"):
        return "important customers talk to people"
    if attributes.get("topic") not in ANSWERS:
        return f"no answer about {attributes.get('topic')!r}"
    return None


def workflow_configuration(queue_sid: str) -> dict[str, Any]:
    """Bots first, people after `BOT_SECONDS`, and at once for what a bot has refused.

    Args:
        queue_sid: the queue that bots and people serve.
    """
    bots_first = (
        "(worker.bot == true AND task.needs_person != true) OR "
        "(worker.bot == false AND task.needs_person == true)"
    )
    return {
        "task_routing": {
            "filters": [
                {
                    "filter_friendly_name": "Questions",
                    "expression": "1==1",
                    "targets": [
                        {"queue": queue_sid, "expression": bots_first, "timeout": BOT_SECONDS},
                        {"queue": queue_sid, "expression": "worker.bot == false"},
                    ],
                },
            ],
        }
    }
