"""A teacher's lesson on its way out: steps from links, links of steps, and sheets to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

import segno

from mlem.experiments.params import Params
from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import MAX_LINK, PAGES, Lesson, Question, Step, to_text
from mlem.lessons.questions import QUESTIONS, of_page
from mlem.ui.modes import Modes
from mlem.ui.presets import PRESETS

TITLES: Mapping[str, str] = {
    "race": "Race",
    "hierarchy": "Hierarchy",
    "coin": "Coin",
    "convergence": "Error vs compute",
    "steps": "Free steps",
    "crossover": "Crossover",
    "faces": "Faces",
}
"""Of the pages that a step can be on, as the navigation has them."""

LOCAL = (
    "This address works on this computer alone. For the class, put the *Network URL* in its place that `streamlit run app.py` "
    "prints when it starts, such as http://192.168.0.7:8501."
)
_LOCAL = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")


@dataclass(frozen=True)
class Way:
    """How a lesson is handed out: ``base`` is the app's address without a page, ``modes`` are on in every link."""

    base: str
    modes: Modes = field(default_factory=Modes)

    def link(self, lesson: Lesson, number: int) -> str:
        """The link of step ``number``, counted from 1: it holds the whole lesson, or this step alone where that is too long."""
        whole = self._link(lesson, number)
        return whole if len(whole) <= MAX_LINK else self._link(alone(lesson, number), 1)

    def _link(self, lesson: Lesson, number: int) -> str:
        on = {key: text for key, text in self.modes.texts().items() if text}
        return f"{self._page(lesson.steps[number - 1].page)}?{urlencode({'lesson': written(lesson), 'step': number, **on})}"

    def short(self, lesson: Lesson, number: int) -> str:
        """What is said of that link in print: where it leads."""
        return self._page(lesson.steps[number - 1].page).split("://")[-1]

    def is_local(self) -> bool:
        """Whether only this very computer can follow the links."""
        return (urlsplit(self.base).hostname or "") in _LOCAL

    def too_long(self, lesson: Lesson) -> str:
        """In words how much too long the longest link to the whole lesson is, and what to do; "" if all fit."""
        longest = max(len(self._link(lesson, number)) for number in range(1, len(lesson.steps) + 1))
        if longest <= MAX_LINK:
            return ""
        words = sum(len(step.intro) + len(step.after) for step in lesson.steps)
        return (
            f"This lesson is too long for one link by {longest - MAX_LINK:,} characters: it would have {longest:,}, and more "
            f"than {MAX_LINK:,} do not survive every mail and every QR code. Its texts have {words:,} characters: shorten "
            "them, remove a step, or make two lessons of it."
        )

    def steps_too_long(self, lesson: Lesson) -> tuple[int, ...]:
        """The steps whose links are too long even for each step alone."""
        return tuple(n for n in range(1, len(lesson.steps) + 1) if len(self.link(lesson, n)) > MAX_LINK)

    def _page(self, page: str) -> str:
        return f"{self.base.rstrip('/')}/{'' if page == PAGES[0] else page}"


def first_steps() -> tuple[Step, ...]:
    """Two steps to begin from, for a class that has never seen the method."""
    return (
        Step("race", intro="Two methods, one error. Watch the bills.", question=of_page("race"), hide=("seed",)),
        Step("hierarchy", intro="What does a better network cost?", question=of_page("hierarchy"), hide=("seed",)),
    )


def prompt(step: Step) -> str:
    """What a step asks; "" for nothing."""
    if isinstance(step.question, Question):
        return step.question.prompt
    return QUESTIONS[step.question].question.prompt if step.question in QUESTIONS else ""


def written(lesson: Lesson) -> str:
    """The lesson as links have it: by its name if it came with the app."""
    return next((name for name, known in LESSONS.items() if _reads_alike(known, lesson)), f"~{to_text(lesson)}")


def _reads_alike(one: Lesson, other: Lesson) -> bool:
    return (one.title, one.steps) == (other.title, other.steps)


def alone(lesson: Lesson, number: int) -> Lesson:
    """A lesson of step ``number`` only."""
    return Lesson(f"{lesson.title}, step {number}", (lesson.steps[number - 1],))


def changed(params: Params) -> dict[str, str]:
    """What differs from the defaults, as links have it."""
    usual = type(params)().to_query()
    return {key: text for key, text in params.to_query().items() if text != usual[key]}


def from_link(link: str) -> tuple[str, dict[str, str], list[str]]:
    """The page that a pasted link opens, what it changes there, and notices of what was mended.

    Raises ValueError, in words, for a link of no page that a step can be on.
    """
    parts = urlsplit(link.strip())
    page = parts.path.rstrip("/").rsplit("/", 1)[-1]
    if page not in PAGES and (not page or parts.path.endswith("/")):
        page = PAGES[0]
    if page not in PAGES:
        known = ", ".join(TITLES.values())
        raise ValueError(f"A step’s link opens one of these pages: {known}. This one has “{page[:40]}”. Copy a page’s address.")
    params, notices = kind(page).nearest(dict(parse_qsl(parts.query, keep_blank_values=True)))
    return page, changed(params), notices


def kind(page: str) -> type[Params]:
    """The parameters of a page."""
    return type(next(iter(PRESETS[page].values())))


def described(step: Step) -> str:
    """A step in a line: its page, and what is changed there."""
    specs = kind(step.page).specs()
    labels = {name.replace("_", "-"): spec for name, spec in specs.items()}
    told = [f"{labels[key].label}: {labels[key].title(text)}" for key, text in step.params.items() if key in labels]
    return f"{TITLES[step.page]}, " + ("; ".join(told) if told else "as it opens")


def moved(steps: Sequence[Step], place: int, by: int) -> tuple[Step, ...]:
    """The steps with the one at ``place`` moved ``by`` places, as far as there are any."""
    kept = list(steps)
    step = kept.pop(place)
    kept.insert(max(0, min(len(kept), place + by)), step)
    return tuple(kept)


def sheet(lesson: Lesson, way: Way) -> str:
    """A page to print: a QR code for every step, with its number, title and address. One file, nothing is fetched."""
    cells = "".join(_cell(lesson, way, number) for number in range(1, len(lesson.steps) + 1))
    first = escape(way.base)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(lesson.title)}</title><style>{_PRINT}</style>'
        f"<h1>{escape(lesson.title)}</h1><p>Point a camera at a code, or ask for the link. The app is at <b>{first}</b></p>"
        f"<main>{cells}</main></html>"
    )


def _cell(lesson: Lesson, way: Way, number: int) -> str:
    link, step = way.link(lesson, number), lesson.steps[number - 1]
    code = segno.make(link, error="l", micro=False).svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)
    where = escape(f"{way.short(lesson, number)} · step {number}")
    return (
        f'<section role="group" aria-label="Step {number}">{code}<h2>{number}. {escape(TITLES[step.page])}</h2>'
        f'<p><a href="{escape(link)}">{where}</a></p></section>'
    )


_PRINT = """
@page { size: A4; margin: 14mm; }
body { max-width: 182mm; margin: 10mm auto; font: 12pt/1.4 sans-serif; color: #000; background: #fff; }
h1 { margin: 0 0 2mm; font-size: 20pt; } h2 { margin: 2mm 0 0; font-size: 14pt; }
p { margin: 0 0 3mm; overflow-wrap: anywhere; } a { color: #000; text-decoration: none; }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 6mm 10mm; }
section { break-inside: avoid; } svg { display: block; width: 100%; height: auto; }
@media print { body { margin: 0; } }
"""
