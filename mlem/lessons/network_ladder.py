"""Does your network ladder obey? For researchers who have networks of several sizes."""

from __future__ import annotations

from mlem.lessons.lesson import Lesson, Step

LESSON = Lesson(
    title="Does your network ladder obey?",
    audience="Researchers with networks of several sizes",
    minutes=15,
    goals=(
        "how to measure γ of a ladder of networks, in FLOPs and in seconds",
        "what makes a level worth having",
        "what ML-EM saved on real networks, and where other samplers beat it",
    ),
    steps=(
        Step(
            "hierarchy",
            intro="A ladder is good for ML-EM if errors and prices follow power laws. First on levels that are made to "
            "obey. What is measured is the error of the **path**: run EM with level k and with the true drift on the same "
            "noise, and compare ends.",
            question="hierarchy-halving",
            after="The fold “Is anything off? Diagnostics by level” shows Giles’ checks: variances and prices should be "
            "straight lines, no kurtosis large, and levels consistent with their corrections.",
        ),
        Step(
            "hierarchy",
            params={"sde": "lorenz"},
            intro="A trap: the error of the drift itself is easy to measure, and is not what counts. This is the Lorenz "
            "system, by the error of the path. Draw your line; the page’s own chart then has both rows of points.",
            question="hierarchy-gamma",
            after="What a level misses can cancel along a path, or grow. Fit γ on errors of paths, not on test losses alone.",
        ),
        Step(
            "faces",
            params={"process": "sde"},
            intro="Now real networks: denoisers of several sizes, trained on the same pictures. Each error is that of "
            "the pictures in the end if the level stands in for the largest one.",
            question="faces-gamma",
            after="If two neighbours have nearly the same error, the larger is not worth its price: train it longer, or "
            "leave it out.",
        ),
        Step(
            "faces",
            params={"process": "sde"},
            intro="What does the ladder save against EM’s cheapest way to the same error, with EM free to choose level "
            "and step?",
            question="faces-saving",
            after="Compare also with “The paper’s coins” on the chart: how calls are spread along time matters as much "
            "as how many there are.",
        ),
        Step(
            "faces",
            params={"process": "ode"},
            intro="Without noise (the probability-flow ODE) there are rivals: DDIM, Heun, DPM-Solver++. They run the "
            "largest network alone.",
            question="faces-sampler",
            after="ML-EM saves on networks, the others on steps. Whether both can be had together is open here.",
        ),
        Step(
            "crossover",
            params={"gamma": "2.5"},
            intro="Back to levels that obey, at the γ that the paper measured, 2.5. Which networks are worth most care?",
            question="crossover-bill",
            after="For your own ladder: put one folder per level beside a ladder.json, set MLEM_LADDERS to it, and "
            "measure it with `python -m mlem faces`; the page Faces tells how. Report γ with its interval, in FLOPs and "
            "in seconds, savings at every error, and where you lose.",
        ),
    ),
)
