"""Reading a work–precision diagram: for a class in numerical analysis."""

from __future__ import annotations

from mlem.lessons.lesson import Lesson, Step

LESSON = Lesson(
    title="Reading a work–precision diagram",
    audience="A class in numerical analysis",
    minutes=20,
    goals=(
        "what a slope in a work–precision diagram means, and with which interval it is known",
        "why a method is its lower envelope, and not one of its runs",
        "which error and which unit of cost an axis shows, and why that can change the winner",
    ),
    steps=(
        Step(
            "convergence",
            intro="A work–precision diagram: error on one axis, cost on the other, both logarithmic, so that a power law "
            "is a straight line. EM has two knobs, the level and the step. To halve its error it needs a better network, "
            "2^γ times dearer, **and** twice the steps. Here γ = 2.5. You see its cheapest rough run.",
            question="convergence-em",
            after="Each point of the line is the cheapest of many runs that reach that error: the **lower envelope**. "
            "Compare methods by their envelopes; a single setting of one against the best of the other is no comparison.",
        ),
        Step(
            "convergence",
            intro="The same for ML-EM, at the same γ = 2.5.",
            question="convergence-slope",
            after="The interval comes from resampling **paths**, all points together: the points share their noise, so "
            "that the scatter about the line says little about how well the slope is known.",
        ),
        Step(
            "convergence",
            params={"gamma": "4"},
            intro="Two slopes, so the gap depends on where you look. At γ = 4, take the smallest error that is shown.",
            question="convergence-gain",
            after="“So many times faster” needs an error beside it. Slide the target over the chart and read the ratio.",
        ),
        Step(
            "convergence",
            params={"gamma": "1"},
            intro="γ = 1: a better network is only twice as dear. Draw ML-EM’s line.",
            question="convergence-slope",
            after="Below γ = 2 theory says 1 + γ/2, above it γ. EM has γ + 1. So the exponent saved is min(γ/2, 1).",
        ),
        Step(
            "convergence",
            params={"unit": "evaluations"},
            intro="The unit matters. Here a call counts as one, whatever the network: the axis of many papers. The runs "
            "are the same, and so are their errors.",
            question="convergence-gain",
            after="Evaluations, model cost, FLOPs, seconds: never mix them, and read the axis before the curves.",
        ),
        Step(
            "convergence",
            params={"sde": "double-well", "error": "distribution", "epsilon": "0.05", "levels": "7", "paths": "4096"},
            intro="The error matters too. In two wells a kick can push a path to the other side for ever. The **strong "
            "error** compares path by path; the **error of the law** only asks where all ends are together.",
            question="convergence-law",
            after="Which error is the right one? That of your question: one path (strong), or samples of a law (distribution).",
        ),
        Step(
            "crossover",
            params={"gamma": "1"},
            intro="The last diagram is a map: the ratio of both costs over γ and error. The white line is break-even. "
            "Look for where ML-EM loses; and think of who makes its bill at γ = 1.",
            question="crossover-bill",
            after="Break-even is decided by constants and lies at another place than the kink of the exponents.",
        ),
    ),
)
