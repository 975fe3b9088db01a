"""ML-EM Lab's library: Euler–Maruyama and multilevel Euler–Maruyama (arXiv 2603.24594) on hierarchies of drifts."""

from mlem import problems
from mlem.brownian import BrownianPath
from mlem.distribution import distribution_error
from mlem.errors import Estimate, NonFiniteStep, strong_error
from mlem.hierarchy import Hierarchy, Level
from mlem.march import Solution
from mlem.probabilities import optimal, power_law
from mlem.sde import SDE
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama
from mlem.synthetic import spectral_hierarchy, synthetic_hierarchy

__version__ = "0.1.0"

__all__ = [
    "SDE",
    "BrownianPath",
    "Estimate",
    "Hierarchy",
    "Level",
    "NonFiniteStep",
    "Solution",
    "distribution_error",
    "euler_maruyama",
    "multilevel_euler_maruyama",
    "optimal",
    "power_law",
    "problems",
    "spectral_hierarchy",
    "strong_error",
    "synthetic_hierarchy",
]
