"""Rates of jumps between states: closed forms, recovery, coverage and units."""

import math

import numpy as np
import torch

from celltraj.models.jumps.fit import JumpData, fit_jump_process
from celltraj.models.jumps.jump_process import JumpProcess

TIMES = tuple(np.linspace(0.0, 2.5, 6).tolist())
STATES = ("a", "b", "c")
ALL = ~torch.eye(3, dtype=torch.bool)
NONE = torch.zeros(3, dtype=torch.float64)


def process_of(rng, growth=NONE):
    rates = torch.zeros(3, 3, dtype=torch.float64)
    rates[ALL] = torch.from_numpy(np.exp(rng.normal(math.log(0.5), 0.7, 6)))
    return JumpProcess(STATES, rates, growth)


def seen(process, rng, *, n_samples=4, n_cells=500, times=TIMES, clumps=1):
    """Return counts of samples with starts of their own, drawn in clumps of so many cells."""
    starts = torch.from_numpy(rng.dirichlet(np.full(3, 0.5), n_samples))
    shares = torch.stack([process.shares(starts, t - times[0]) for t in times], 1).numpy()
    drawn = [[rng.multinomial(n_cells // clumps, q / q.sum()) for q in one] for one in shares]
    counts = torch.from_numpy(clumps * np.array(drawn, dtype=float))
    return JumpData(STATES, times, counts, process.growth, ALL)


def test_two_states_relax_as_the_closed_form_says():
    forth, back, t = 0.7, 0.2, 1.3
    rates = torch.tensor([[0.0, forth], [back, 0.0]], dtype=torch.float64)
    process = JumpProcess(("a", "b"), rates, torch.zeros(2, dtype=torch.float64))
    found = process.shares(torch.tensor([0.9, 0.1], dtype=torch.float64), t)
    rest = back / (forth + back)
    expected = rest + (0.9 - rest) * math.exp(-(forth + back) * t)
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64))


def test_states_that_only_grow_do_so_by_their_exponentials():
    growth = torch.tensor([300.0, -2.0, 299.0], dtype=torch.float64)  # whose mass is no number
    process = JumpProcess(STATES, torch.zeros(3, 3, dtype=torch.float64), growth)
    start = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    found = process.shares(start, 2.0)
    expected = (start.log() + 2 * growth).softmax(0)
    torch.testing.assert_close(found, expected)


def test_intervals_hold_the_rates_and_rates_are_found():
    rng = np.random.default_rng(0)
    held, errors = [], []
    for _ in range(8):
        process = process_of(rng)
        fit = fit_jump_process(seen(process, rng))
        low, high = fit.intervals(0.9)
        true = process.rates[ALL].numpy()
        held += ((low <= true) & (true <= high)).tolist()
        told = fit.is_identified
        errors += np.log(fit.process.rates[ALL].numpy() / true)[told].tolist()
    # 48 intervals of 90 %, as if independent: three standard errors
    assert 0.9 - 3 * math.sqrt(0.09 / 48) <= np.mean(held)
    assert np.sqrt(np.mean(np.square(errors))) < math.log(2)
    assert len(errors) > 24


def test_growth_that_is_told_is_no_jump():
    rng = np.random.default_rng(1)
    growth = torch.tensor([1.0, 0.0, -0.5], dtype=torch.float64)
    process = process_of(rng, growth)
    fit = fit_jump_process(seen(process, rng, n_cells=20_000))
    told = fit.is_identified
    found, true = fit.process.rates[ALL].numpy()[told], process.rates[ALL].numpy()[told]
    spread = fit.covariance.diagonal()[:6].sqrt().numpy()[told]
    assert told.any()
    assert (np.abs(np.log(found / true)) < 4 * spread).all()


def test_hours_for_days_and_states_in_another_order_change_nothing_else():
    data = seen(process_of(np.random.default_rng(2)), np.random.default_rng(2))
    fit = fit_jump_process(data)
    hours = JumpData(STATES, tuple(24 * t for t in TIMES), data.counts, NONE, ALL)
    rates = fit_jump_process(hours).process.rates
    torch.testing.assert_close(24 * rates, fit.process.rates, rtol=1e-3, atol=1e-4)
    order = torch.tensor([2, 0, 1])
    turned = JumpData(("c", "a", "b"), TIMES, data.counts[..., order], NONE, ALL)
    rates = fit_jump_process(turned).process.rates
    expected = fit.process.rates[order][:, order]
    torch.testing.assert_close(rates, expected, rtol=1e-3, atol=1e-4)


def test_one_sample_at_rest_tells_no_rate():
    process = process_of(np.random.default_rng(3))
    rest = process.shares(torch.full((1, 3), 1 / 3, dtype=torch.float64), 1e3)
    counts = (500 * rest[:, None].expand(1, len(TIMES), 3)).round()
    fit = fit_jump_process(JumpData(STATES, TIMES, counts, NONE, ALL))
    assert not fit.is_identified.any()


def test_samples_that_vary_by_more_than_cells_widen_all_intervals():
    process = process_of(np.random.default_rng(4))
    alone = fit_jump_process(seen(process, np.random.default_rng(5), n_samples=8))
    clumped = fit_jump_process(seen(process, np.random.default_rng(5), n_samples=8, clumps=10))
    # Pearson's statistic over its degrees of freedom, 8 x 5 x 2 - 6: standard error 16 %
    assert alone.dispersion < 1 + 3 * math.sqrt(2 / 74)
    assert abs(clumped.dispersion - 10) < 3 * 10 * math.sqrt(2 / 74)


def test_a_forecast_holds_where_the_process_leads():
    rng = np.random.default_rng(6)
    process = process_of(rng)
    data = seen(process, rng, n_cells=5_000)
    fit = fit_jump_process(data)
    share, low, high = fit.forecast(4.0, 0.99, torch.Generator().manual_seed(0))
    true = process.shares(fit.starts, 4.0)
    assert bool(((low <= share) & (share <= high)).all())
    torch.testing.assert_close(share, true, rtol=0, atol=0.02)
