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
            "$2^\\gamma$ times dearer, **and** twice the steps. Here γ = 2.5. You see its cheapest rough run.",
            question="convergence-em",
            after="Each point of the line is the cheapest of many runs that reach that error: the **lower envelope**. "
            "Compare methods by their envelopes; a single setting of one against the best of the other is no comparison.",
        ),
        Step(
            "convergence",
            intro="The same for ML-EM, at the same γ = 2.5, with EM’s curve to compare. Its noise wants finer steps too, but "
            "its best network is called only now and then.",
            question="convergence-slope",
            after="The interval comes from resampling **paths**, all points together: the points share their noise, so "
            "that the scatter about the line says little about how well the slope is known.",
        ),
        Step(
            "convergence",
            params={"gamma": "4"},
            intro="Two slopes, so the gap depends on where you look. Under the chart, the last sentence said how much cheaper "
            "ML-EM is at the smallest error when γ = 2.5. Now γ = 4: a better network is 16 times dearer.",
            question="convergence-gain",
            after="“So many times faster” needs an error beside it. Slide the target over the chart and read the ratio.",
        ),
        Step(
            "convergence",
            params={"gamma": "1"},
            intro="And at γ = 1, where a better network is only twice as dear? EM’s curve has slope 2 in theory.",
            question="convergence-slope",
            after="Below γ = 2 theory says 1 + γ/2, above it γ. EM has γ + 1. So the exponent saved is min(γ/2, 1).",
        ),
        Step(
            "convergence",
            params={"unit": "evaluations"},
            intro="The unit matters. Back to γ = 2.5, but here a call counts as one, whatever the network: the axis of many "
            "papers. The runs are the same, and so are their errors.",
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
            intro="The same runs once more, priced for every γ at once. At γ = 1 ML-EM’s slope was that of 1 + γ/2, not "
            "of γ. Who makes ML-EM’s bill there?",
            question="crossover-bill",
            after="The last diagram is a map: the ratio of both costs over γ and error. Its white line is break-even, and left "
            "of it ML-EM loses.",
        ),
        Step(
            "crossover",
            params={"sde": "double-well", "epsilon": "0.05", "levels": "7", "paths": "4096"},
            intro="Back to the two wells, by their strong error, at ε = 0.05. A kick is not forgotten there, which makes "
            "ML-EM’s noise dear. Its exponent bends at γ = 2. Is that where it begins to win?",
            question="crossover-breakeven",
            after="On the map, ◇ is this break-even. Now change one thing: ε. The mark moves along the white line; the kink "
            "stays where it is.",
        ),
    ),
)
