"""Colours and shapes, light and dark. The system decides which, unless the agent does."""

from __future__ import annotations

from dataclasses import dataclass, fields
from string import Template

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

__all__ = ["Colours", "Theme"]


@dataclass(frozen=True)
class Colours:
    """One set of colours. Text on its ground has a contrast of 4.5 or more (WCAG AA)."""

    ground: str
    card: str
    raised: str
    line: str
    text: str
    muted: str
    accent: str
    on_accent: str
    accent_soft: str
    good: str
    warn: str
    warn_soft: str
    bad: str
    bad_soft: str


LIGHT = Colours(
    ground="#f3f4f7",
    card="#ffffff",
    raised="#f7f8fa",
    line="#d9dde4",
    text="#1a1f27",
    muted="#566070",
    accent="#2457d6",
    on_accent="#ffffff",
    accent_soft="#e8eefc",
    good="#177245",
    warn="#8a5300",
    warn_soft="#fff3dc",
    bad="#b3261e",
    bad_soft="#fdebe9",
)
DARK = Colours(
    ground="#14171c",
    card="#1d2229",
    raised="#262c35",
    line="#363e4a",
    text="#e9ecf1",
    muted="#a3adbb",
    accent="#8fb2ff",
    on_accent="#0d1b3d",
    accent_soft="#222e4a",
    good="#6fd49b",
    warn="#ffc46b",
    warn_soft="#3a2e18",
    bad="#ff9a90",
    bad_soft="#42211f",
)

SHEET = Template("""
QWidget { color: $text; font-size: 14px; }
QWidget#window, QWidget#ground, QScrollArea, QDialog { background: $ground; border: none; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px 6px; }

QFrame#header { background: $card; border: none; border-bottom: 1px solid $line; }
QFrame#card { background: $card; border: 1px solid $line; border-radius: 12px; }
QFrame#card[kind="offer"] { border: 2px solid $accent; }
QFrame#card:focus { border: 2px solid $accent; }
QFrame#empty { background: transparent; border: 2px dashed $line; border-radius: 12px; }
QFrame#handover { background: $accent_soft; border: none; border-radius: 8px; }
QFrame#notice { background: $accent_soft; border: none; border-radius: 8px; }
QFrame#banner { background: $warn_soft; border: none; border-top: 1px solid $line; }
QFrame#banner[severity="error"] { background: $bad_soft; }
QFrame#notice[severity="warning"] { background: $warn_soft; }
QFrame#notice[severity="error"] { background: $bad_soft; }

QLabel { background: transparent; }
QLabel#title { font-size: 17px; font-weight: 600; }
QLabel#huge { font-size: 24px; font-weight: 600; }
QLabel#name { font-size: 16px; font-weight: 600; }
QLabel#section { font-size: 12px; font-weight: 700; color: $muted; }
QLabel#muted { color: $muted; }
QLabel#key { color: $muted; font-size: 13px; }
QLabel#value { font-size: 13px; }
QLabel#chip { background: $raised; color: $muted; border-radius: 7px; padding: 2px 8px; font-size: 12px; }
QLabel#chip[tone="warn"] { background: $warn_soft; color: $warn; }
QLabel#chip[tone="accent"] { background: $accent_soft; color: $accent; }
QLabel#link { font-size: 13px; color: $muted; }
QLabel#link[link="connected"] { color: $good; }
QLabel#link[link="lost"], QLabel#link[link="connecting"] { color: $warn; }
QLabel#link[link="needs_token"] { color: $bad; }
QLabel#bad { color: $bad; }

QPushButton {
  background: $raised; border: 1px solid $line; border-radius: 8px; padding: 7px 14px; font-weight: 600;
}
QPushButton:hover { border-color: $muted; }
QPushButton:focus { border: 2px solid $accent; padding: 6px 13px; }
QPushButton:disabled { color: $muted; }
QPushButton#primary { background: $accent; color: $on_accent; border-color: $accent; }
QPushButton#primary:focus { border: 2px solid $text; }
QPushButton#primary:disabled { background: $raised; color: $muted; border-color: $line; }
QPushButton#quiet { background: transparent; border: none; color: $accent; padding: 4px 0; }
QPushButton#quiet:hover { text-decoration: underline; }
QPushButton#quiet:focus { border: 2px solid $accent; padding: 2px 0; }

QLineEdit, QComboBox {
  background: $card; border: 1px solid $line; border-radius: 8px; padding: 7px 10px;
  selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit:focus, QComboBox:focus { border: 2px solid $accent; padding: 6px 9px; }
QLineEdit:disabled, QComboBox:disabled { color: $muted; background: $raised; }
QComboBox { padding-right: 26px; font-weight: 600; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox QAbstractItemView {
  background: $card; color: $text; border: 1px solid $line; selection-background-color: $accent_soft;
  selection-color: $text; outline: none;
}
QListWidget { background: $card; border: 1px solid $line; border-radius: 8px; outline: none; padding: 4px; }
QListWidget::item { padding: 8px; border-radius: 6px; color: $text; }
QListWidget::item:selected { background: $accent_soft; color: $text; }
QTabBar::tab {
  background: transparent; color: $muted; padding: 8px 12px; font-weight: 600; border: none;
  border-bottom: 2px solid transparent;
}
QTabBar::tab:selected { color: $accent; border-bottom: 2px solid $accent; }
QTabBar::tab:focus { color: $text; }
QRadioButton { background: transparent; spacing: 8px; padding: 3px; }
QRadioButton::indicator {
  width: 12px; height: 12px; border: 2px solid $muted; border-radius: 8px; background: $card;
}
QRadioButton::indicator:checked { width: 6px; height: 6px; border: 5px solid $accent; }
QRadioButton:focus { color: $accent; }
QMenu { background: $card; border: 1px solid $line; border-radius: 8px; padding: 4px; }
QMenu::item { padding: 7px 24px; border-radius: 6px; }
QMenu::item:selected { background: $accent_soft; }
QMenu::separator { height: 1px; background: $line; margin: 4px 8px; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar::handle:vertical { background: $line; border-radius: 5px; min-height: 30px; }
QScrollBar::add-line, QScrollBar::sub-line { height: 0; background: none; }
QScrollBar::add-page, QScrollBar::sub-page { height: 0; background: none; }
""")


class Theme(QObject):
    """Gives the application its look, and changes it when the system's changes.

    Args:
        application: what gets the look.
        scheme: ``system``, ``light`` or ``dark``.
    """

    def __init__(self, application: QApplication, scheme: str = "system") -> None:
        super().__init__(application)
        self._application = application
        self.scheme = scheme
        self.colours = LIGHT
        application.setStyle("Fusion")
        hints = application.styleHints()
        self._system_is_dark = hints.colorScheme() == Qt.ColorScheme.Dark
        hints.colorSchemeChanged.connect(self._system_changed)
        self.use(scheme)

    def use(self, scheme: str) -> None:
        """Take a scheme: ``system``, ``light`` or ``dark``."""
        self.scheme = scheme
        dark = self._system_is_dark if scheme == "system" else scheme == "dark"
        self.colours = DARK if dark else LIGHT
        self._application.setPalette(_palette(self.colours))
        values = {item.name: getattr(self.colours, item.name) for item in fields(self.colours)}
        self._application.setStyleSheet(SHEET.substitute(values))

    def _system_changed(self, scheme: Qt.ColorScheme) -> None:
        self._system_is_dark = scheme == Qt.ColorScheme.Dark
        if self.scheme == "system":
            self.use("system")


def _palette(colours: Colours) -> QPalette:
    """What the style sheet does not reach: placeholders, the drawing of Fusion's own parts."""
    palette = QPalette()
    role = QPalette.ColorRole
    for where, colour in {
        role.Window: colours.ground,
        role.WindowText: colours.text,
        role.Base: colours.card,
        role.AlternateBase: colours.raised,
        role.Text: colours.text,
        role.PlaceholderText: colours.muted,
        role.Button: colours.raised,
        role.ButtonText: colours.text,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.ToolTipBase: colours.raised,
        role.ToolTipText: colours.text,
        role.Link: colours.accent,
    }.items():
        palette.setColor(where, QColor(colour))
    return palette
