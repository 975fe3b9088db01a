"""Why one evaluation is enough: the whole story, for students who meet it for the first time."""

from __future__ import annotations

from mlem.lessons.lesson import Lesson, Step

LESSON = Lesson(
    title="Why one evaluation is enough",
    audience="Students who know what a differential equation is",
    minutes=20,
    goals=(
        "what ML-EM does at a step, and why leaving out the dear network most of the time makes no systematic error",
        "what the cost exponent γ is, and what happens at γ = 2",
        "when the method does not pay",
    ),
    steps=(
        Step(
            "race",
            intro="Two ways to follow the same random path. **EM** asks the best network at every step. **ML-EM** asks small "
            "networks at every step, and the best one only now and then. Both are tuned to the same error. Look at the "
            "marks under the paths: each is a call.",
            question="race-speedup",
            after="The paths end equally near the truth, and the bills do not. How can that be? First: what does a "
            "network cost?",
        ),
        Step(
            "hierarchy",
            intro="Levels f¹, f², … come nearer and nearer to the true drift f. Each halves the error of the one before. "
            "You see what each level misses; and the price of the first two.",
            question="hierarchy-gamma",
            after="This slope is the **cost exponent γ**. About 2.5 for image networks, by the paper. Now change one thing: "
            "move γ, and see which points go where. Then go on.",
        ),
        Step(
            "coin",
            params={"draws": "1000"},
            intro="One step under the glass. The best network is f¹ plus corrections. For each correction a coin is "
            "thrown; only on heads is it computed, and then it counts 1/p times. The last coin comes up heads about once "
            "in thirty draws.",
            question="coin-mean",
            after="That is the telescope: $\\sum_k (B_k/p_k)(f^k - f^{k-1})$ is $f^K$ on average, whatever the $p_k$. "
            "They decide only the noise, and the price.",
        ),
        Step(
            "coin",
            params={"rule": "too-flat"},
            intro="So the chances may be anything? Here every coin has the same chance, and a draw costs on average what "
            "it did before.",
            question="coin-variance",
            after="Right on average, but noisier for the same money. Small corrections need few calls: that they are "
            "small is what makes rare calls good enough.",
        ),
        Step(
            "steps",
            intro="Now many steps. Halve the step h and keep the error: EM has twice the steps, and pays twice. The "
            "kicks of ML-EM get smaller with h, so that it may call each network less often per step.",
            question="steps-deep",
            after="At γ = 4 the step is free: what counts is how many calls there are along the **whole path**, as if there "
            "were no steps at all.",
        ),
        Step(
            "steps",
            intro="The same at γ = 1, where a better network is not much dearer.",
            question="steps-easy",
            after="So the step is free above γ = 2 alone. Look at γ = 2.5 on the chart: it lies between, since so near to 2 "
            "the limit comes slowly.",
        ),
        Step(
            "crossover",
            params={"gamma": "4"},
            intro="Now the same bill, priced for every γ. First at γ = 4, where the step was free. The dearer a "
            "network, the more rarely it is called: rarely enough?",
            question="crossover-bill",
            after="The upright line on the charts is your γ: move it below 2, and see who pays then. Three things to keep "
            "apart: **break-even** (constants decide), the **kink** at γ = 2 (the exponent), and, above it, **free steps**.",
        ),
        Step(
            "race",
            params={"sde": "double-well", "gamma": "0.5", "epsilon": "0.1"},
            intro="A last race: a small γ and a rough target. Use what you know.",
            question="race-speedup",
            after="A method is understood when you know where it loses. Real networks are on the page **Faces**.",
        ),
    ),
)
