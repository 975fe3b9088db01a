"""The stored plans are what the code gives."""

from __future__ import annotations

import pytest

import mlem
from mlem.experiments.fields import GAMMAS
from mlem.experiments.plans import Question, _stored, make_plans, offered, plans

SAMPLE = [
    Question("forced-ou", 2.5, 0.02),
    Question("ornstein-uhlenbeck", 1.0, 0.05, "systematic"),
    Question("double-well", 2.5, 0.05, "nested"),
    Question("gaussian-flow", 2.5, 0.02, "held"),
    Question("ornstein-uhlenbeck", 2.5, 0.02, rule="power-law"),
    Question("mixture-flow", 0.5, 0.1),
]


@pytest.mark.parametrize("question", SAMPLE, ids=lambda question: question.key)
def test_a_stored_plan_is_what_the_code_gives(question: Question) -> None:
    """``python -m mlem plans`` rebuilds the store. Other processors may round a search to a neighbour, hence the tolerance."""
    stored, made = plans(question), make_plans(question)
    assert question.key in _stored()
    assert stored.em.level == made.em.level
    assert stored.em.steps == pytest.approx(made.em.steps, rel=0.02)
    assert stored.mlem.steps == pytest.approx(made.mlem.steps, rel=0.02)
    assert stored.mlem.probabilities == pytest.approx(made.mlem.probabilities, rel=0.05)


def test_the_store_answers_what_the_page_offers() -> None:
    questions = list(offered())
    assert len({question.key for question in questions}) == len(questions)
    missing = [question.key for question in questions if question.key not in _stored()]
    assert not missing


def test_only_what_is_offered_is_looked_up() -> None:
    question = Question("ornstein-uhlenbeck", 2.2, 0.05)
    assert not question.is_offered
    assert plans(question) == make_plans(question)
    options = Question("ornstein-uhlenbeck", GAMMAS[0], 0.05, options=(("dim", 2),))
    assert not options.is_offered
    assert options.problem().shape == (2,)


def test_every_problem_is_offered() -> None:
    assert {question.sde for question in offered()} == set(mlem.problems.names())
