"""Kernels give the same bits in the process that compiles them and in those that load them."""

import os
import subprocess
import sys

BITS = """
import hashlib

import numpy as np
import torch

from celltraj.ot import SquaredEuclidean, SparseNewtonSinkhorn, Unbalanced

torch.set_num_threads(1)
x, y = (torch.from_numpy(np.random.default_rng(k).normal(k, 1, (73, 3))) for k in (0, 1))
weights = torch.full((73,), 1 / 73, dtype=torch.float64)
cost = SquaredEuclidean(x, y)
for solver in (SparseNewtonSinkhorn(), Unbalanced(0.9, 0.9)):
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
    assert len(first.split()) == 2
    assert bits() == first
