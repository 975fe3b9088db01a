"""The lessons that come with the app, by the name that links have."""

from __future__ import annotations

from mlem.lessons import network_ladder, why_one_evaluation, work_precision
from mlem.lessons.lesson import Lesson

LESSONS: dict[str, Lesson] = {
    "why-one-evaluation": why_one_evaluation.LESSON,
    "work-precision": work_precision.LESSON,
    "network-ladder": network_ladder.LESSON,
}
