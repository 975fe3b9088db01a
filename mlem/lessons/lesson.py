"""What a lesson is, and how one is written into a link.

A lesson is a list of steps. A step opens a page with some of its parameters changed, says something, and may ask a question
whose answer is hidden until somebody has predicted it. Lessons that come with the app and lessons that teachers make are the
same thing; a teacher's travels in the link, as compressed JSON in base64url.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from mlem.checks import check_choice

PAGES = ("race", "hierarchy", "coin", "convergence", "steps", "crossover", "faces")
KINDS = ("number", "slope", "choice")

MAX_LINK = 1500  # characters of a whole link
MAX_STEPS = 20
MAX_WORDS = 1200  # characters of one text
MAX_OPTIONS = 6
MAX_PARAMS = 24  # that a step changes

_VERSION = "1"  # of the format; the first character of the text
_TEXTS = ("title", "audience", "page", "intro", "after", "prompt", "kind", "unit")
_NUMBERS = ("low", "high", "answer")
_MAX_JSON = 40_000  # bytes, which bounds what a hostile link can unfold to

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """What is asked before it is shown. ``kind``: a "number" between ``low`` and ``high`` (on a logarithmic scale if ``log``),
    with its ``unit``; a "slope", which is a number that is drawn as a line while it is chosen; or a "choice" of ``options``.
    ``answer``: a teacher's own, a number or one of the options; None where the page's result has it.

    Raises ValueError naming what is wrong.
    """

    prompt: str
    kind: Literal["number", "slope", "choice"] = "number"
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    unit: str = ""
    options: tuple[str, ...] = ()
    answer: float | str | None = None

    def __post_init__(self) -> None:
        _check_words("prompt", self.prompt, least=1)
        _check_words("unit", self.unit)
        check_choice("kind", self.kind, KINDS)
        if self.kind == "choice":
            self._check_options()
        else:
            self._check_range()

    def _check_options(self) -> None:
        if not 2 <= len(self.options) <= MAX_OPTIONS:
            raise ValueError(f"options takes 2 to {MAX_OPTIONS} texts, got {len(self.options)}")
        for option in self.options:
            _check_words("options", option, least=1)
        if len(set(self.options)) < len(self.options):
            raise ValueError("options takes texts that differ, got the same one twice")
        if self.answer is not None and self.answer not in self.options:
            raise ValueError(f"answer takes one of the options, got {self.answer!r}")

    def _check_range(self) -> None:
        for name in ("low", "high"):
            _check_finite(name, getattr(self, name))
        if self.low >= self.high:
            raise ValueError(f"high takes a number above low = {self.low:g}, got {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low takes a positive number on a logarithmic scale, got {self.low:g}")
        if self.answer is not None:
            _check_finite("answer", self.answer)


@dataclass(frozen=True)
class Step:
    """One step on ``page``. ``params``: what it changes there, texts by their names in links. ``intro`` is said at its
    beginning, ``after`` when the answer is there. ``question``: the name of a question that the app can answer, an own one, or
    None. ``hide``: names of controls that are not shown.

    Raises ValueError naming what is wrong.
    """

    page: str
    params: Mapping[str, str] = field(default_factory=dict)
    intro: str = ""
    question: str | Question | None = None
    hide: tuple[str, ...] = ()
    after: str = ""

    def __post_init__(self) -> None:
        check_choice("page", self.page, PAGES)
        _check_words("intro", self.intro)
        _check_words("after", self.after)
        if len(self.params) > MAX_PARAMS or len(self.hide) > MAX_PARAMS:
            raise ValueError(f"params and hide take at most {MAX_PARAMS} names, got {len(self.params)} and {len(self.hide)}")
        for text in (*self.params, *self.params.values(), *self.hide):
            _check_words("params and hide", text)
        if isinstance(self.question, str):
            _check_words("question", self.question, least=1)


@dataclass(frozen=True)
class Lesson:
    """``audience``: who it is for; ``minutes``: how long it takes; ``goals``: what one can say afterwards.

    Raises ValueError naming what is wrong.
    """

    title: str
    steps: tuple[Step, ...]
    audience: str = ""
    minutes: int = 0
    goals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_words("title", self.title, least=1)
        _check_words("audience", self.audience)
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise ValueError(f"steps takes 1 to {MAX_STEPS} steps, got {len(self.steps)}")
        if not isinstance(self.minutes, int) or not 0 <= self.minutes <= 600:
            raise ValueError(f"minutes takes an integer from 0 to 600, got {self.minutes!r}")
        if len(self.goals) > MAX_STEPS:
            raise ValueError(f"goals takes at most {MAX_STEPS} texts, got {len(self.goals)}")
        for goal in self.goals:
            _check_words("goals", goal)


def to_text(lesson: Lesson) -> str:
    """The lesson in characters that links may hold; what is left at its default is left out."""
    content = json.dumps(_plain(lesson), ensure_ascii=False, separators=(",", ":"))
    packed = zlib.compress(content.encode(), 9)
    return _VERSION + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_text(text: str) -> Lesson:
    """The lesson that :func:`to_text` wrote. Raises ValueError, in words, for anything else."""
    if not text or len(text) > MAX_LINK:
        raise ValueError(f"a lesson's text takes 1 to {MAX_LINK} characters, got {len(text)}")
    if text[0] != _VERSION:
        raise ValueError("this lesson was made by another version of the app")
    try:
        packed = base64.b64decode(text[1:].encode() + b"=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(packed, _MAX_JSON)
        if not unpacking.eof:
            raise ValueError("this lesson is too large, or its link was cut off")
        return _lesson(json.loads(content.decode()))
    except (binascii.Error, zlib.error, UnicodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("this is no lesson: its link was changed or cut off on the way") from None


def _plain(value: Any) -> Any:
    """A lesson as JSON: each part an object of what is not its default."""
    if isinstance(value, Lesson | Step | Question):
        changed = {f.name: getattr(value, f.name) for f in fields(value)}
        defaults = {f.name: f.default for f in fields(value)}
        return {name: _plain(v) for name, v in changed.items() if v != defaults[name] and v not in ({}, ())}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


def _lesson(content: object) -> Lesson:
    given = _object(content, Lesson)
    steps = tuple(_step(one) for one in _typed("steps", given.get("steps"), list)[: MAX_STEPS + 1])
    minutes, goals = _typed("minutes", given.get("minutes", 0), int), _texts("goals", given.get("goals", []))
    return Lesson(**{**given, "title": given.get("title", ""), "steps": steps, "minutes": minutes, "goals": goals})


def _step(content: object) -> Step:
    given = _object(content, Step)
    params = _typed("params", given.get("params", {}), dict)
    for text in params.values():
        _check_words("params and hide", text)
    question = given.get("question")
    if isinstance(question, dict):
        question = _question(question)
    elif question is not None:
        question = _typed("question", question, str)
    hide = _texts("hide", given.get("hide", []))
    return Step(**{**given, "page": str(given.get("page")), "params": params, "question": question, "hide": hide})


def _question(content: object) -> Question:
    given = _object(content, Question)
    given["log"] = _typed("log", given.get("log", False), bool)
    check_choice("kind", given.get("kind", KINDS[0]), KINDS)
    return Question(**{**given, "prompt": given.get("prompt", ""), "options": _texts("options", given.get("options", []))})


def _object(content: object, kind: type[Any]) -> dict[str, Any]:
    given = dict(_typed(kind.__name__.lower(), content, dict))
    for name in list(given):
        check_choice(f"a name in a {kind.__name__.lower()}", name, tuple(f.name for f in fields(kind)))
        if name in _TEXTS:
            _check_words(name, given[name])
        elif name in _NUMBERS and not isinstance(given[name], str):  # an answer may be an option
            _check_finite(name, given[name])
            given[name] = float(given[name])
    return given


def _texts(name: str, value: object) -> tuple[str, ...]:
    return tuple(_typed(name, one, str) for one in _typed(name, value, list))


def _typed(name: str, value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{name} takes a {kind.__name__}, got a {type(value).__name__}")
    return value


def _check_words(name: str, text: object, *, least: int = 0) -> None:
    if not isinstance(text, str) or not least <= len(text) <= MAX_WORDS:
        got = len(text) if isinstance(text, str) else type(text).__name__
        raise ValueError(f"{name} takes {least} to {MAX_WORDS} characters, got {got}")


def _check_finite(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} takes a finite number, got {value!r}")
