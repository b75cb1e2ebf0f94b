"""What all parts of a workspace have in common: they can be watched.

A workspace that is to be stored has a *journal*: from then on every entity that is changed, comes or
goes puts itself into it, whoever changes it. Nobody can forget to tell: it is the assignment to an
attribute, and the entry in a registry, that tells. Watching replaces the classes of the entities, so
a workspace that is not stored pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

__all__ = ["Entity", "Journal", "Registry", "Watched", "watch"]


class Watched:
    """Base of everything in a workspace that has a state."""

    __slots__ = ("_journal",)

    _journal: Journal

    derived: ClassVar[frozenset[str]] = frozenset()
    """Attributes that follow from other entities and are not stored: changing one of them tells nobody."""

    def belongs_to(self) -> Entity | None:
        """The entity that changes when this does; None while there is none."""
        raise NotImplementedError

    def parts(self) -> Iterable[Watched]:
        """What belongs to it."""
        return ()


class Entity(Watched):
    """Something that has a SID."""

    __slots__ = ()

    sid: str

    def belongs_to(self) -> Entity | None:
        """Itself."""
        return self


E = TypeVar("E", bound=Entity)

Journal = dict[Entity, None]
"""The entities that changed, in the order of their first change."""


_variants: dict[type[Watched], type[Watched]] = {}
"""Of each class the one that tells of changes. It has the same slots, so that an object can become one."""


def _tell(self: Watched, name: str, value: object) -> None:
    object.__setattr__(self, name, value)
    if name in self.derived:
        return
    journal: Journal | None = getattr(self, "_journal", None)
    if journal is None:
        return  # a copy of a watched one, such as explanations make: nobody stores it
    changed = self.belongs_to()
    if changed is not None:
        journal[changed] = None


def watch(entity: Watched, journal: Journal) -> None:
    """From now on, note in `journal` whatever changes about the entity or a part that it has now."""
    kind = type(entity)
    if kind.__setattr__ is not _tell:
        variant = _variants.get(kind)
        if variant is None:
            members: dict[str, Any] = {"__slots__": (), "__setattr__": _tell, "__module__": kind.__module__}
            variant = _variants[kind] = type(kind.__name__, (kind,), members)
        object.__setattr__(entity, "_journal", journal)
        object.__setattr__(entity, "__class__", variant)
    for part in entity.parts():
        watch(part, journal)


class Registry(dict[str, E], Generic[E]):
    """Entities by SID, in the order in which they came."""

    __slots__ = ("_journal",)

    _journal: Journal

    def watch(self, journal: Journal) -> None:
        """From now on, note in `journal` what comes, goes and changes here."""
        self._journal = journal
        object.__setattr__(self, "__class__", _WatchedRegistry)
        for entity in self.values():
            watch(entity, journal)


class _WatchedRegistry(Registry[E]):
    """One whose comings and goings are noted. Entities come by ``[sid] =``, and go by ``del`` or `pop`."""

    __slots__ = ()

    def __setitem__(self, sid: str, entity: E) -> None:
        super().__setitem__(sid, entity)
        watch(entity, self._journal)
        self._journal[entity] = None

    def __delitem__(self, sid: str) -> None:
        entity = self[sid]
        super().__delitem__(sid)
        self._journal[entity] = None

    def pop(self, sid: str, *default: Any) -> Any:
        if sid not in self and default:
            return default[0]
        entity = self[sid]
        del self[sid]
        return entity


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("a watched registry is changed one entity at a time")


for _name in ("clear", "popitem", "setdefault", "update", "__ior__"):
    setattr(_WatchedRegistry, _name, _refuse)
