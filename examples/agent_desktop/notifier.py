"""Telling an agent who looks elsewhere that there is something to do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

__all__ = ["Notifier", "Tell"]

Tell = Callable[[str, str], object]
"""Takes a title and a text."""

MILLISECONDS = 10_000


class Notifier:
    """Notifications of the system, through an icon in its tray; without one, the window asks for attention.

    Args:
        window: the one to bring to the front when a notification is clicked.
        icon: the application's.
    """

    def __init__(self, window: QWidget, icon: QPixmap) -> None:
        self._window = window
        self._tray: QSystemTrayIcon | None = None
        if QSystemTrayIcon.isSystemTrayAvailable():
            self._tray = QSystemTrayIcon(QIcon(icon), window)
            self._tray.setToolTip("Agent desktop")
            self._tray.messageClicked.connect(self._raise)
            self._tray.activated.connect(lambda _: self._raise())
            self._tray.show()

    def tell(self, title: str, text: str) -> None:
        """Notify, unless the agent looks at the window anyway."""
        if self._window.isActiveWindow():
            return
        if self._tray is not None:
            self._tray.showMessage(title, text, QSystemTrayIcon.MessageIcon.Information, MILLISECONDS)
        QApplication.alert(self._window)

    def close(self) -> None:
        """Take the icon away."""
        if self._tray is not None:
            self._tray.hide()

    def _raise(self) -> None:
        raise_window(self._window)


def raise_window(window: QWidget) -> None:
    """Bring a window to the front."""
    window.showNormal() if window.isMinimized() else window.show()
    window.raise_()
    window.activateWindow()
