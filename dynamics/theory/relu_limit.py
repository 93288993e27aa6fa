"""Infinitely wide relu networks trained to convergence on the squared loss, in numpy and float64, for figures and claims.

`dynamics.theory.kernels` and `dynamics.theory.flow` do the same in jax, for any activation and time. Tests compare the two.
"""

from typing import NamedTuple

import numpy as np


class Kernels(NamedTuple):
  """Both (n, n'), for one output."""

  nngp: np.ndarray
  ntk: np.ndarray


class GaussianProcess(NamedTuple):
  """The distribution of outputs at m inputs over random starts; the k outputs are independent and share one covariance."""

  mean: np.ndarray  # (m, k)
  covariance: np.ndarray  # (m, m)


def kernels(x1: np.ndarray, x2: np.ndarray | None = None, *, hidden: int = 1, bias: float = 1.0) -> Kernels:
  """The infinite-width NNGP and tangent kernel of `models.mlp(activation='relu')` under the rule `ntk`.

  Weights start as N(0, 1) and biases at 0, as drawn by `inits.independent`. All are trained.

  Args:
    x1, x2: (n, d) and (n', d) inputs; x2=None is x1.
    hidden: the number of hidden layers.
    bias: multiplier of the biases; 0 is a network without biases.

  Source: 1806.07572, proposition 1 and theorem 1.
  """
  x1, same = np.asarray(x1, float), x2 is None
  x2 = x1 if same else np.asarray(x2, float)
  d = x1.shape[1]
  nngp = x1 @ x2.T / d
  ntk = nngp + bias**2
  q1, q2 = ((x * x).sum(axis=1) / d for x in (x1, x2))
  for _ in range(hidden):
    size = np.sqrt(np.outer(q1, q2))
    c = np.clip(nngp / np.where(size > 0, size, 1), -1, 1)
    if same:
      np.fill_diagonal(c, 1)
    angle = np.arccos(c)
    nngp = size * (np.sqrt((1 - c) * (1 + c)) + (np.pi - angle) * c) / (2 * np.pi)
    ntk = nngp + bias**2 + ntk * np.where(size > 0, (np.pi - angle) / (2 * np.pi), 0)
    q1, q2 = q1 / 2, q2 / 2
  return Kernels(nngp, ntk)


def trained(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, *, hidden: int = 1, bias: float = 1.0) -> GaussianProcess:
  """The distribution of the outputs at x_test (m, d) after training on x (n, d), y (n, k) to convergence.

  Raises:
    numpy.linalg.LinAlgError: the tangent kernel of the training set is singular.

  Source: 1806.07572, section 5 (mean); 1902.06720, eq. 16 (covariance).
  """
  cross = kernels(x_test, x, hidden=hidden, bias=bias)
  train = kernels(x, hidden=hidden, bias=bias)
  a = np.linalg.solve(train.ntk, cross.ntk.T).T  # (m, n)
  mixed = a @ cross.nngp.T
  prior = kernels(x_test, hidden=hidden, bias=bias).nngp
  return GaussianProcess(a @ np.asarray(y, float), prior + a @ train.nngp @ a.T - mixed - mixed.T)
