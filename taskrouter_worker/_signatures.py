"""The bases of what emits. `_signatures.pyi` beside this file tells type checkers what handlers take.

At run time each of them is the one implementation; their parameter only matters to type checkers.
"""

from __future__ import annotations

from ._emitter import Listenable

__all__ = ["OwnEmitter", "TaskEmitter", "WorkerEmitter"]

OwnEmitter = TaskEmitter = WorkerEmitter = Listenable
