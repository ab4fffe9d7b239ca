"""Kernels give what numpy gives, and the same bits where they are compiled and where loaded."""

import os
import subprocess
import sys

import numpy as np

from celltraj._kernels import add_exponentials, exp_in_place

BITS = """
import hashlib

import numpy as np
import torch

from celltraj.ot import SparseNewtonSinkhorn, SquaredEuclidean, Stratified, Unbalanced

torch.set_num_threads(1)
x, y = (torch.from_numpy(np.random.default_rng(k).normal(k, 1, (73, 3))) for k in (0, 1))
weights = torch.full((73,), 1 / 73, dtype=torch.float64)
cost = SquaredEuclidean(x, y)
for solver in (SparseNewtonSinkhorn(), Unbalanced(0.9, 0.9), Stratified(throw=False)):
    found = solver(cost, weights, weights, epsilon=0.3)
    parts = found.f, found.g, found.row_mass, found.push(weights), found.entropy()
    print(hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest())
"""


def test_the_process_that_compiles_has_the_bits_of_the_next(tmp_path):
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)

    def bits():
        command = [sys.executable, "-W", "ignore", "-c", BITS]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    first = bits()
    assert list(tmp_path.rglob("*.nbc"))  # something was compiled, and kept
    assert len(first.split()) == 3
    assert bits() == first


LOGS = np.random.default_rng(0).normal(-5, 10, (7, 53)).astype(np.float32)


def test_exponentials_of_single_precision_are_those_of_numpy():
    logs = LOGS.copy()
    logs[2, 5], logs[4, :] = -np.inf, -np.inf
    expected = np.exp(logs.astype(float))
    row = np.ones(7)
    add_exponentials(logs, row)
    np.testing.assert_allclose(row, 1 + expected.sum(1), rtol=1e-6)
    exp_in_place(logs)
    np.testing.assert_allclose(logs, expected, rtol=1e-6)


def test_sums_beyond_single_precision_are_infinite():
    logs = LOGS.copy()
    logs[3, 8], logs[5, 9] = 89.0, 2e4
    row = np.zeros(7)
    add_exponentials(logs, row)
    assert np.isinf(row[[3, 5]]).all()
    assert np.isfinite(row[[0, 1, 2, 4, 6]]).all()
    exp_in_place(logs)
    assert np.isinf(logs[[3, 5], [8, 9]]).all()
