"""Laws of several conditions at once: what the equations say they must be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import celltraj as ct
from celltraj.models import KernelReference, Paths
from celltraj.models.arms.likeness import Likeness
from celltraj.models.arms.shared_ridge import SharedRidge
from celltraj.models.arms.similarity import similarity_root


def paths_of(speed, seed, n_gaps=2, n=30, shift=0.0):
    """Return paths of a rotation at some speed."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for k in range(n_gaps):
        grid = k + torch.linspace(0, 1, 5, dtype=torch.float64)
        x = torch.randn(5, n, 2, generator=g, dtype=torch.float64) + shift
        noise = 0.1 * torch.randn(4, n, 2, generator=g, dtype=torch.float64)
        turned = torch.stack([-x[:-1, :, 1], x[:-1, :, 0]], 2)
        found.append(
            Paths(grid, x, speed * turned + noise, torch.full((n,), 1 / n, dtype=torch.float64))
        )
    return found


@pytest.fixture
def paths():
    return [paths_of(speed, seed) for seed, speed in enumerate((0.5, 1.0, 2.0))]


def framed(paths, **options):
    ends = torch.cat([e for own in paths for one in own for e in (one.x[0], one.x[-1])])
    family = KernelReference(n_centres=12, sigma=0.1, **options)
    return family.framed(ends, generator=torch.Generator().manual_seed(0))


X = torch.randn(20, 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_without_own_laws_it_is_the_fit_of_all_paths_together(paths):
    root = similarity_root(["a", "b", "c"])
    pooled = KernelReference(n_centres=12, sigma=0.1).fit(
        [one for own in paths for one in own], generator=torch.Generator().manual_seed(0)
    )
    for law in SharedRidge.of(framed(paths), root, paths).solved(0.0).laws():
        torch.testing.assert_close(law.drift(0.0, X), pooled.drift(0.0, X), rtol=1e-8, atol=1e-8)


def test_one_condition_is_ridge_regression_of_a_smaller_penalty(paths):
    """The least norm of ``W`` with ``W psi = w`` is that of ``w`` over ``|psi|^2 = 1 + own``."""
    own, family = 0.7, framed(paths[:1])
    ridge = SharedRidge.of(family, torch.eye(1, dtype=torch.float64), paths[:1])
    gram, pull = ridge.grams.sum(0), ridge.pulls.sum(0)
    w = torch.linalg.solve(gram + torch.diag(family.penalty()) / (1 + own), pull)
    expected = family.with_solution(w).drift(0.0, X)
    found = ridge.solved(own).laws()[0].drift(0.0, X)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


def test_large_own_is_a_law_of_each(paths):
    """What is left of the others is of the order ``1 / own``."""
    root = similarity_root(["a", "b", "c"])
    ridge = SharedRidge.of(framed(paths), root, paths)
    laws = ridge.solved(1e6).laws()
    for speed, law in zip((0.5, 1.0, 2.0), laws, strict=True):
        slope = torch.linalg.lstsq(torch.cat([torch.ones(20, 1), X], 1), law.drift(0.0, X)).solution
        # of 240 points with noise .1 a slope has a standard error of .0065
        np.testing.assert_allclose(slope[1:], [[0, speed], [-speed, 0]], atol=0.05)


@pytest.mark.parametrize("covariates", [None, {"dose": [0.0, 1.0, 5.0]}])
def test_leaving_a_gap_out_is_solving_without_it(paths, covariates):
    root = similarity_root(["a", "b", "c"], covariates)
    ridge = SharedRidge.of(framed(paths), root, paths)
    left = ridge.solved(0.3).without_each()
    for gap in (0, 3, 5):
        kept = [g for g in range(6) if g != gap]
        fewer = replace(
            ridge, owners=ridge.owners[kept], grams=ridge.grams[kept], pulls=ridge.pulls[kept]
        )
        expected = fewer.solved(0.3).coefficients[ridge.owners[gap]]
        torch.testing.assert_close(left[gap], expected, rtol=1e-5, atol=1e-6)


def test_the_order_of_conditions_plays_no_part(paths):
    covariates = [0.0, 1.0, 5.0]
    order = [2, 0, 1]
    laws = SharedRidge.of(
        framed(paths), similarity_root("abc", {"dose": covariates}), paths
    ).solved(0.3)
    other = SharedRidge.of(
        framed(paths),
        similarity_root("cab", {"dose": [covariates[k] for k in order]}),
        [paths[k] for k in order],
    ).solved(0.3)
    torch.testing.assert_close(laws.coefficients[order], other.coefficients, rtol=1e-6, atol=1e-8)


def test_moved_data_have_the_moved_law(paths):
    """Frame and centres move with the data, and nothing else is left of where they lie."""
    moved = [[replace(one, x=one.x + 100.0) for one in own] for own in paths]
    root = similarity_root("abc")
    here, there = (SharedRidge.of(framed(p), root, p).solved(0.3).laws()[1] for p in (paths, moved))
    torch.testing.assert_close(
        here.drift(0.0, X), there.drift(0.0, X + 100.0), rtol=1e-6, atol=1e-7
    )


def test_similarity_is_that_of_the_covariates():
    root = similarity_root("abc", {"dose": [0.0, 1.0, 2.0], "sex": ["f", "f", "m"]})
    apart = [[0, 1.5, 8], [1.5, 0, 3.5], [8, 3.5, 0]]  # of variance 2/3, and 2 for a category
    along = [[2.5, 1, -1.5], [1, 1, 0], [-1.5, 0, 2.5]]  # products of -1.22, 0, 1.22 and of sexes
    np.testing.assert_allclose(root @ root.T, np.exp(-np.array(apart) / 2) + along, atol=1e-6)
    same = similarity_root("ab", {"dose": [3.0, 3.0]})
    np.testing.assert_allclose(same @ same.T, np.ones((2, 2)), atol=1e-6)


def test_a_condition_without_paths_moves_as_its_likes_do(paths):
    root = similarity_root("abcd")
    laws = SharedRidge.of(framed(paths), root, [*paths, []]).solved(0.3).laws()
    by_dose = similarity_root("abcd", {"dose": [0.5, 1.0, 2.0, 1.0]})
    alike = SharedRidge.of(framed(paths), by_dose, [*paths, []]).solved(3.0).laws()
    drifts = [law.drift(0.0, X) for law in laws]
    # of labels alone it is what all share, between the extremes
    assert (drifts[3] - drifts[1]).norm() < (drifts[2] - drifts[0]).norm()
    torch.testing.assert_close(alike[3].drift(0.0, X), alike[1].drift(0.0, X), rtol=1e-6, atol=1e-7)


def test_the_law_of_a_new_dose_is_that_of_a_condition_without_cells(paths):
    """As the regression has it with a fourth condition, of which no gap was seen."""
    doses, new = np.array([0.0, 1.0, 4.0]), 1.5
    z = (np.array([*doses, new]) - doses.mean()) / doses.std()
    similarity = np.outer(z, z) + np.exp(-(np.subtract.outer(z, z) ** 2) / 2)
    root = torch.linalg.cholesky(torch.tensor(similarity))
    four = SharedRidge.of(framed(paths), root, [*paths, []]).solved(0.3).laws()
    by_dose = similarity_root("abc", {"dose": doses.tolist()})
    solved = SharedRidge.of(framed(paths), by_dose, paths).solved(0.3)
    laws = dict(zip("abc", solved.laws(), strict=True))
    common = solved.ridge.family.with_solution(solved.common)
    likeness = Likeness({"dose": dict(zip("abc", doses.tolist(), strict=True))}, common)
    found = likeness.law(laws, {"dose": new}).drift(0.0, X)
    torch.testing.assert_close(found, four[3].drift(0.0, X), rtol=1e-6, atol=1e-8)
    # a dose that was seen has the law that was found for it
    again = likeness.law(laws, {"dose": 4.0}).drift(0.0, X)
    torch.testing.assert_close(again, laws["c"].drift(0.0, X), rtol=1e-6, atol=1e-8)


def test_what_is_unlike_all_that_was_seen_is_said(paths):
    drugs = {"drug": {"a": "x", "b": "y", "c": "x"}, "dose": {"a": 0.0, "b": 0.0, "c": 2.0}}
    told = {key: list(of.values()) for key, of in drugs.items()}
    solved = SharedRidge.of(framed(paths), similarity_root("abc", told), paths).solved(0.3)
    laws = dict(zip("abc", solved.laws(), strict=True))
    likeness = Likeness(drugs, solved.ridge.family.with_solution(solved.common))
    with pytest.warns(ct.FitWarning, match="'dose' is 90, and conditions from 0 to 2 were seen"):
        likeness.law(laws, {"drug": "x", "dose": 90.0})
    with pytest.warns(ct.FitWarning, match=r"no condition like .* is 1\.4 standard deviations"):
        likeness.law(laws, {"drug": "y", "dose": 2.0})
    with pytest.raises(
        ValueError, match=r"a value of each of \['dose', 'drug'\].*found \['dose'\]"
    ):
        likeness.law(laws, {"dose": 1.0})
    with pytest.raises(ValueError, match="covariate 'drug' is 'w'; the model knows"):
        likeness.law(laws, {"drug": "w", "dose": 1.0})
    with pytest.raises(ValueError, match="'dose' must be a finite number"):
        likeness.law(laws, {"drug": "x", "dose": float("nan")})
