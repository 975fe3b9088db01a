"""Parameters of experiments: one typed definition each for the URL, the command line, the cache key, the widget and the export.

An experiment's ``Params`` is a frozen dataclass whose fields are made by :func:`number`, :func:`integer` and :func:`choice`.
Every way in goes through the same checks: strictly where a person can be told (Python, command line), and leniently for a link,
where each value that is off is replaced by the nearest valid one, with a notice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from mlem.checks import check_choice, check_integer, check_number

LINK_VERSION = "1"
"""Of the links: written as ``v``, so that links of today can be read when names or meanings change."""

P = TypeVar("P", bound="Params")

_LONGEST = 200  # characters of a link's value that are looked at


@dataclass(frozen=True)
class Spec:
    """What a parameter takes. ``offered`` are the values that a page's control stops at; a link or a command may take any."""

    kind: Literal["number", "integer", "choice"]
    label: str
    help: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    offered: tuple[float, ...] = ()
    optional: bool = False

    def check(self, name: str, value: object) -> float | int | str | None:
        """The value, if it is valid. Raises ValueError that names the parameter."""
        if value is None and self.optional:
            return None
        if self.kind == "choice":
            return check_choice(name, value, self.choices) if isinstance(value, str) else self._refuse(name, value)
        if self.kind == "integer":
            return check_integer(name, value, low=int(self.low), high=None if self.high == math.inf else int(self.high))
        return check_number(name, value, low=self.low, high=self.high)

    def _refuse(self, name: str, value: object) -> str:
        raise ValueError(f"{name} takes one of {', '.join(self.choices)}, got {value!r}")

    def parse(self, name: str, text: str) -> float | int | str | None:
        """The value that ``text`` means. Raises ValueError that names the parameter."""
        if self.kind == "choice":
            return self.check(name, text)
        if text == "" and self.optional:
            return None
        number = to_number(text)
        if number is None:
            self.check(name, text)  # raises, with what is taken
        assert number is not None
        whole = self.kind == "integer" and number == int(number)
        return self.check(name, int(number) if whole else number)

    def nearest(self, text: str, default: Any) -> Any:
        """The valid value nearest to what ``text`` means; ``default`` where it means nothing."""
        if self.kind == "choice":
            return text if text in self.choices else default
        number = to_number(text)
        if number is None:
            return None if text == "" and self.optional else default
        clamped = min(max(number, self.low), self.high)
        return round(clamped) if self.kind == "integer" else clamped

    def title(self, value: object) -> str:
        """A choice in words."""
        return dict(zip(self.choices, self.titles, strict=False)).get(str(value), str(value))


def number(default: float | None, *, low: float, high: float, label: str, help: str, offered: Sequence[float] = ()) -> Any:
    """A field for a float in [low, high]; None as default makes it optional."""
    return _field(default, Spec("number", label, help, low, high, offered=tuple(offered), optional=default is None))


def integer(default: int | None, *, low: int, high: int, label: str, help: str, offered: Sequence[int] = ()) -> Any:
    """A field for an int in [low, high]; None as default makes it optional."""
    return _field(default, Spec("integer", label, help, low, high, offered=tuple(offered), optional=default is None))


def choice(default: str, *, choices: Mapping[str, str] | Sequence[str], label: str, help: str) -> Any:
    """A field for one of ``choices``: names, or a mapping from names to titles."""
    titles = tuple(choices.values()) if isinstance(choices, Mapping) else tuple(choices)
    return _field(default, Spec("choice", label, help, choices=tuple(choices), titles=titles))


def _field(default: object, spec: Spec) -> Any:
    return dataclasses.field(default=default, metadata={"spec": spec})


@dataclass(frozen=True)
class Params:
    """Base of all parameters: checks every field by name when made."""

    def __post_init__(self) -> None:
        for name, spec in self.specs().items():
            object.__setattr__(self, name, spec.check(name, getattr(self, name)))

    @classmethod
    def specs(cls) -> dict[str, Spec]:
        """What each parameter takes, by name, in order."""
        return {field.name: field.metadata["spec"] for field in dataclasses.fields(cls)}

    @classmethod
    def parse(cls: type[P], texts: Mapping[str, str]) -> P:
        """From texts by name, as on the command line. Raises ValueError for an unknown name or a value that is not valid."""
        specs = cls.specs()
        for name in texts:
            check_choice("parameter", name, tuple(specs))
        return cls(**{name: specs[name].parse(name, text) for name, text in texts.items()})

    @classmethod
    def nearest(cls: type[P], query: Mapping[str, str]) -> tuple[P, list[str]]:
        """From a link: the nearest valid parameters, and a notice for everything that was not taken as it was."""
        values, notices = dict[str, Any](), list[str]()
        if query.get("v", LINK_VERSION) != LINK_VERSION:
            notices.append("This link is of another version of ML-EM Lab: what is understood of it was taken.")
        for field in dataclasses.fields(cls):
            spec, key = field.metadata["spec"], to_key(field.name)
            if key not in query:
                continue
            text = query[key][:_LONGEST]
            try:
                values[field.name] = spec.parse(key, text)
            except ValueError as error:
                values[field.name] = spec.nearest(text, field.default)
                notices.append(f"{error}. It is now {in_words(values[field.name])}.")
        mended, more = cls.mend(values)
        return cls(**mended), notices + more

    @classmethod
    def mend(cls, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Mends values that do not fit together, each valid in itself; returns them with notices."""
        return values, []

    def to_query(self) -> dict[str, str]:
        """The link's query: every parameter, defaults too, and the version."""
        texts = {to_key(name): as_text(getattr(self, name)) for name in self.specs()}
        return {"v": LINK_VERSION, **texts}

    def to_arguments(self) -> str:
        """The command line's options: those that differ from their defaults."""
        changed = [f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        return " ".join(f"--{to_key(f.name)} {as_text(getattr(self, f.name))}" for f in changed)


def to_key(name: str) -> str:
    """A field's name as URL and command line spell it."""
    return name.replace("_", "-")


def as_text(value: object) -> str:
    """A value as links and commands spell it; reading it back gives the same value."""
    return "" if value is None else repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def in_words(value: object) -> str:
    """A value in a sentence."""
    return "the default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def to_number(text: str) -> float | None:
    """The finite number that ``text`` writes; None where it writes none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
