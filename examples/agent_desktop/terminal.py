"""The same desk in a terminal, drawn by Textual: ``python -m examples.agent_desktop --terminal``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import ClassVar, Unpack

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from taskrouter_worker.options import WorkerOptions

from . import sentences
from .aim import Aim
from .desk import Desk
from .directory import Found, Target, matching
from .login import Login, LoginError
from .view import Link, Offer, Severity, View, Work

__all__ = ["TerminalDesk"]

_Things = tuple[Offer, ...] | tuple[Work, ...]

TICK_SECONDS = 0.25
HINT = "Enter logs in, Ctrl+Q leaves."

SHEET = """
Screen { background: $background; }
#head { height: 1; background: $panel; padding: 0 1; }
#agent { width: 1fr; text-style: bold; }
#link { width: auto; }
#list { width: 40%; min-width: 24; height: 1fr; border: round $primary; }
#detail { width: 1fr; border: round $secondary; padding: 0 1; }
#middle.narrow { layout: vertical; }
#middle.narrow #list { width: 100%; height: 40%; }
#notices { height: auto; padding: 0 1; color: $warning; }
#login { width: 60; max-width: 100%; height: auto; padding: 1 2; border: round $primary; }
LoginScreen, Choice { align: center middle; }
#choice { width: 56; max-width: 95%; height: 20; max-height: 90%; }
#choice { border: round $primary; background: $surface; }
#choice OptionList { height: 1fr; }
#why { height: auto; color: $warning; }
"""


class Call(Message):
    """A call that the SDK's thread wants to have made here. Posting a message is safe from any thread."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self.call = call


class LoginScreen(ModalScreen[None]):
    """Asks for a token."""

    def __init__(self, desk: Desk, login: Login) -> None:
        super().__init__()
        self._desk = desk
        self._known = login
        self._told = ""

    def compose(self) -> ComposeResult:
        """What it is made of."""
        with Vertical(id="login"):
            yield Label("Agent desktop")
            yield Input(password=True, placeholder="Token (it is not shown)", id="token")
            yield Input(self._known.server, placeholder="TaskRouter (empty for Twilio)", id="server")
            yield Static(self._told or HINT, id="status", markup=False)

    def on_input_submitted(self) -> None:
        """Log in."""
        token = self.query_one("#token", Input)
        login = Login(
            token=token.value, server=self.query_one("#server", Input).value, region=self._known.region
        )
        token.value = ""
        try:
            self._desk.log_in(login)
        except LoginError as error:
            self.show(str(error))

    def show(self, text: str) -> None:
        """Say how it stands."""
        self._told = text
        if self.is_mounted:
            self.query_one("#status", Static).update(text or HINT)


class Choice(ModalScreen[str | None]):
    """Asks for one of several things; what is typed narrows them down.

    Args:
        title: what is asked.
        options: what is shown for each answer, by answer.
        narrow: from what was typed to the answers that are left; None where nothing can be typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Back")]

    def __init__(
        self,
        title: str,
        options: dict[str, str],
        narrow: Callable[[str], dict[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._options = options
        self._narrow = narrow

    def compose(self) -> ComposeResult:
        """What it is made of."""
        with Vertical(id="choice"):
            yield Label(Text(self._title, style="bold"))
            if self._narrow is not None:
                yield Input(placeholder="Search")
            yield OptionList()
            yield Static("", id="why", markup=False)
            yield Footer()

    def on_mount(self) -> None:
        """Fill it."""
        self.offer(self._options)
        (self.query_one(Input) if self._narrow is not None else self.query_one(OptionList)).focus()

    def offer(self, options: dict[str, str]) -> None:
        """These can be chosen now."""
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([Option(Text(text), id=answer) for answer, text in options.items()])
        shown.highlighted = 0 if options else None

    def explain(self, why: str) -> None:
        """Say why there is nothing to choose from."""
        self.query_one("#why", Static).update(why)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow down."""
        if self._narrow is not None:
            self.offer(self._narrow(event.value))

    def on_input_submitted(self) -> None:
        """Take what is highlighted."""
        shown = self.query_one(OptionList)
        if shown.highlighted is not None:
            _ = self.dismiss(shown.get_option_at_index(shown.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        _ = self.dismiss(event.option.id)


class TerminalDesk(App[None]):
    """The application.

    Args:
        login: what is known of the login; if it is complete, the session begins at once.
        allowed: see `Desk`.
        **options: see `Desk`.
    """

    CSS = SHEET
    TITLE = "Agent desktop"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "Accept"),
        Binding("r", "reject", "Reject"),
        Binding("t", "transfer", "Transfer"),
        Binding("w", "wrap_up", "Wrap up"),
        Binding("c", "complete", "Complete"),
        Binding("v", "activity", "Activity"),
        Binding("x", "dismiss", "Dismiss"),
        Binding("ctrl+q", "leave", "Leave", priority=True),
    ]

    def __init__(
        self,
        login: Login | None = None,
        *,
        allowed: frozenset[str] | None = None,
        **options: Unpack[WorkerOptions],
    ) -> None:
        super().__init__()
        self._login = login or Login()
        self.desk = Desk(self._deliver, self._changed, allowed=allowed, **options)
        self._login_screen: LoginScreen | None = None
        self._aim = Aim()
        self._placed = ""  # what was highlighted last, be it by the agent or for want of what was
        self._complaint = ""  # about the login that was given at the start

    def compose(self) -> ComposeResult:
        """What it is made of."""
        with Horizontal(id="head"):
            yield Label("", id="agent")
            yield Label("", id="link")
        with Horizontal(id="middle"):
            yield OptionList(id="list")
            with VerticalScroll(id="detail"):
                yield Static("", id="text")
        yield Static("", id="notices", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self.set_interval(TICK_SECONDS, self._tick)
        if self._login.is_complete:
            try:
                self.desk.log_in(self._login)
            except LoginError as error:
                self._complaint = str(error)
        self._show()

    def on_resize(self) -> None:
        """Below each other where it is narrow."""
        self.query_one("#middle").set_class(self.size.width < 80, "narrow")

    def on_unmount(self) -> None:
        """The end, however it came."""
        self.desk.log_out()

    def on_call(self, message: Call) -> None:
        """Something has happened in the SDK's thread."""
        message.call()

    # Actions

    def action_accept(self) -> None:
        """Take the offer: the highlighted one, or the first."""
        self._with("a", self.desk.view.offers, self.desk.accept)

    def action_reject(self) -> None:
        """Leave it to others."""
        self._with("r", self.desk.view.offers, self.desk.reject)

    def action_wrap_up(self) -> None:
        """Go over to after-work."""
        self._with("w", self.desk.view.works, self.desk.wrap_up)

    def action_complete(self) -> None:
        """Finish the task."""
        self._with("c", self.desk.view.works, self.desk.complete)

    def action_transfer(self) -> None:
        """Ask whom the task shall go to."""
        self._with("t", self.desk.view.works, self._hand_over)

    def action_activity(self) -> None:
        """Ask for an activity."""
        names = {choice.sid: choice.name for choice in self.desk.view.activities}
        _ = self.push_screen(
            Choice("Go over to", names), lambda sid: self.desk.choose_activity(sid) if sid else None
        )

    def action_dismiss(self) -> None:
        """The notices were read."""
        for notice in self.desk.view.notices:
            self.desk.dismiss(notice.number)

    def action_leave(self) -> None:
        """Leave; with a task in hand, ask first."""
        if not self.desk.view.works:
            self.exit()
            return
        _ = self.push_screen(
            Choice("Leave with a task in hand?", {"stay": "Stay", "leave": "Leave anyway"}),
            lambda answer: self.exit() if answer == "leave" else None,
        )

    def _with(self, key: str, there: _Things, do: Callable[[str], object]) -> None:
        """Do it with the one that the agent means; with none where that is in doubt."""
        it = self._reached(there)
        if it is None:
            self._aim.is_repeated(key)  # the next press may follow this one
        elif self._aim.is_meant(key, _kind(it), it.sid):
            do(it.sid)
        else:
            self.notify(f"Press {key} again if you mean “{it.title}”.", markup=False)

    def _reached(self, there: _Things) -> Offer | Work | None:
        """What keys are about: the highlighted one, or the first."""
        chosen = self._highlighted()
        return next((it for it in there if it.sid == chosen), there[0] if there else None)

    def _look(self, *, by_hand: bool = False) -> None:
        for there in (self.desk.view.offers, self.desk.view.works):
            it = self._reached(there)
            if it is not None:
                self._aim.look(_kind(it), it.sid, by_hand=by_hand and it.sid == self._highlighted())

    def _hand_over(self, sid: str) -> None:
        targets: dict[str, Target] = {}

        def narrow(words: str) -> dict[str, str]:
            return {
                it.sid: f"{it.name:<28} {it.note or 'Queue'}" for it in matching([*targets.values()], words)
            }

        asking = Choice("Transfer to", {}, narrow)

        def told(found: Found) -> None:
            targets.update({target.sid: target for target in found.targets})
            if not asking.is_current:
                return
            asking.offer(narrow(asking.query_one(Input).value))
            if found.error is not None:
                asking.explain(sentences.failed("look up colleagues and queues", found.error))

        def chosen(answer: str | None) -> None:
            if answer:
                self.desk.transfer(sid, answer, targets[answer].name, stay=False)

        _ = self.push_screen(asking, chosen)
        self.desk.find_targets(told)

    # What there is to see

    def _deliver(self, call: Callable[[], object]) -> None:
        self.post_message(Call(call))

    def _changed(self) -> None:
        # Not at once: a handler runs in the context of its event, where Textual does not find its own.
        self.call_later(self._show)

    def _tick(self) -> None:
        self.desk.tick()
        self._show_detail()

    def _show(self) -> None:
        if not self.is_running:
            return
        view = self.desk.view
        self._show_login(view)
        base = self.screen_stack[0]
        activity = view.activity.name if view.activity else ""
        base.query_one("#agent", Label).update(
            Text(f"{view.agent} · {activity}{' …' * view.changing_activity}")
        )
        colour = "#4ade80" if view.connection.link is Link.CONNECTED else "#fbbf24"
        base.query_one("#link", Label).update(Text(view.connection.headline, style=colour))
        self._show_list(view)
        lines = [
            f"{'! ' if notice.severity is Severity.ERROR else ''}{notice.text}" for notice in view.notices
        ]
        detail = view.connection.detail if view.agent else ""
        base.query_one("#notices", Static).update("\n".join(filter(None, [*lines, detail])))
        self._show_detail()

    def _show_login(self, view: View) -> None:
        asks = not view.agent or view.connection.link is Link.NEEDS_TOKEN
        if asks and self._login_screen is None:
            self._login_screen = LoginScreen(self.desk, self._login)
            _ = self.push_screen(self._login_screen)  # what shows it is not waited for here
        elif not asks and self._login_screen is not None:
            screen, self._login_screen = self._login_screen, None
            _ = screen.dismiss()
        if self._login_screen is not None:
            notices = " ".join(notice.text for notice in view.notices)
            told, self._complaint = view.connection.detail or notices or self._complaint, ""
            self._login_screen.show(told)

    def _show_list(self, view: View) -> None:
        shown = self.screen_stack[0].query_one("#list", OptionList)
        before = self._highlighted()
        there: list[Offer | Work] = [*view.offers, *view.works]
        shown.clear_options()
        shown.add_options([Option(_line(it), id=it.sid) for it in there])
        sids = [it.sid for it in there]
        shown.highlighted = sids.index(before) if before in sids else 0 if sids else None
        self._placed = self._highlighted()
        self._look()

    def _highlighted(self) -> str:
        shown = self.screen_stack[0].query_one("#list", OptionList)
        if shown.highlighted is None:
            return ""
        return shown.get_option_at_index(shown.highlighted).id or ""

    def on_option_list_option_highlighted(self) -> None:
        """Another one is looked at."""
        if (chosen := self._highlighted()) != self._placed:
            self._placed = chosen
            self._look(by_hand=True)
        self._show_detail()

    def _show_detail(self) -> None:
        if not self.is_running:
            return
        view, sid = self.desk.view, self._highlighted()
        there: list[Offer | Work] = [*view.offers, *view.works]
        it = next((it for it in there if it.sid == sid), None)
        self.screen_stack[0].query_one("#text", Static).update(_nothing(view) if it is None else _detail(it))


def _kind(it: Offer | Work) -> str:
    return type(it).__name__


def _line(it: Offer | Work) -> Text:
    if isinstance(it, Offer):
        return Text(f"● {it.title}", style="bold") + Text(f"\n  {it.busy or 'offered'}", style="dim")
    state = it.busy or ("wrapping up" if it.wrapping else "in hand")
    return Text(f"  {it.title}") + Text(f"\n  {state}", style="dim")


def _detail(it: Offer | Work) -> Text:
    text = Text(f"{it.title}\n", style="bold")
    where = " · ".join(part for part in (it.customer, it.queue, it.channel) if part)
    text.append(f"{where}\n", style="not bold dim")
    if isinstance(it, Offer):
        if it.deadline is not None:
            left = max(0, math.ceil(it.deadline - time.monotonic()))
            text.append(f"{left} s to answer\n", style="bold red" if left < 10 else "bold")
    elif it.handover is not None:
        text.append(f"{it.handover.sentence}\n", style="not bold italic")
    longest = min(20, max((len(attribute.name) for attribute in it.attributes), default=0))
    for attribute in it.attributes:
        text.append(f"\n{attribute.name:<{longest}}  ", style="not bold dim")
        text.append(attribute.value, style="not bold")
    return text


def _nothing(view: View) -> Text:
    if view.activity is not None and not view.activity.takes_work:
        return Text(f"You are {view.activity.name} and get no tasks. Press v to choose another activity.")
    return Text("Waiting for tasks: the next one that is routed to you appears here.")
