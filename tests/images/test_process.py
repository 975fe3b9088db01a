import pytest
import torch

from mlem.brownian import BrownianPath
from mlem.images.process import GFLOP, levels_of
from mlem.solvers import euler_maruyama, multilevel_euler_maruyama
from tests.images.tiny import ladder


def test_levels_are_priced_in_gflop_and_grow() -> None:
    levels = levels_of(ladder())
    assert levels.costs.tolist() == [level.flops / GFLOP for level in ladder().levels]
    assert levels.sde.shape == (3, 16, 16)
    assert not levels.sde.is_ode
    assert levels_of(ladder(), "ode").sde.is_ode


def test_all_calls_certain_is_em_with_the_finest_network() -> None:
    levels = levels_of(ladder())
    path = BrownianPath(2, (3, 16, 16), 8, 1.0, 3, dtype=torch.float32)
    initial = levels.sde.initial(2, 3, dtype=torch.float32)
    em = euler_maruyama(levels.sde, levels[-1], steps=8, path=path, initial=initial)
    multi = multilevel_euler_maruyama(levels.sde, levels, [1.0, 1.0, 1.0], steps=8, path=path, initial=initial)
    assert torch.equal(em.final, multi.final)
    assert multi.evaluations.tolist() == [0.0, 0.0, 8.0]


@pytest.mark.parametrize("firing", ["bernoulli", "systematic"])
def test_a_picture_does_not_depend_on_its_batch(firing: str) -> None:
    levels = levels_of(ladder())

    def drawn(first: int, count: int) -> torch.Tensor:
        path = BrownianPath(count, (3, 16, 16), 16, 1.0, 5, first=first, dtype=torch.float32)
        initial = levels.sde.initial(count, 5, first=first, dtype=torch.float32)
        p = [1.0, 0.5, 0.2]
        return multilevel_euler_maruyama(
            levels.sde, levels, p, steps=16, path=path, initial=initial, firing=firing, draws="per-path", seed=5
        ).final

    together = drawn(0, 4)
    torch.testing.assert_close(together[2:], drawn(2, 2), rtol=1e-3, atol=1e-4)
