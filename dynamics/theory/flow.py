"""Training on the squared loss with a fixed kernel, solved: gradient flow and gradient descent.

The loss is that of `losses.mean_squared_error`, (1/n) sum_i (1/2) |f(x_i) - y_i|^2, so that df/dt = -(1/n) Theta (f - y)
and an eigenvector of Theta decays at rate eigenvalue / n. The unit of time is steps times learning rate.

A kernel is (n, n), the same for every output, as the limits in `dynamics.theory.kernels` are, or (n, n, k, k), as the
tangent kernel of a finite network is. Theta of a model f = J w is J J^T.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from dynamics.theory.kernels import Kernels, precise
from dynamics.types import Array


class Solution(NamedTuple):
  """Outputs at times t, a number or (t,); infinity is a time. Several times put an axis t in front of the result."""

  train: Callable[[Array, Array, Array], Array]  # (t, f0 (n, k), y (n, k)) -> (n, k)
  # (t, f0, y, cross, g0) -> (m, k): outputs that were g0 (m, k), at inputs whose kernel with the training set is cross,
  # (m, n) or (m, n, k, k). The parameters of a linear model are such outputs: g0 = w0 and cross = J^T, (p, n).
  test: Callable[[Array, Array, Array, Array, Array], Array]
  # (t, cross) -> A with test = g0 - A (f0 - y): (m, n), or (m k, n k) for kernels between outputs.
  smoother: Callable[[Array, Array], Array]


class Law(NamedTuple):
  """The Gaussian law of an ensemble's outputs at m inputs; outputs k are independent and alike."""

  mean: Array  # (m, k)
  covariance: Array  # (m, m), or (t, m, m)


def gradient_flow(kernel: Array) -> Solution:
  """f_t = y + exp(-Theta t / n) (f_0 - y) on the training set, and what follows from it elsewhere.

  Eigenvalues below rounding (eps times their number times the largest) are taken as 0: their directions stay where they
  are. At t = infinity the solution is kernel regression on the residual, with the pseudo-inverse where Theta is singular.

  Raises:
    ValueError: a kernel that is neither (n, n) nor (n, n, k, k).

  Source: 1806.07572, section 5; 1902.06720, eq. 8 to 11.
  """
  n = kernel.shape[0]
  return _solve(kernel, lambda values, t: jnp.expm1(-values / n * t))


def gradient_descent(kernel: Array, lr: Array) -> Solution:
  """The same for full-batch gradient descent, exactly: (I - lr Theta / n)^steps, with whole steps in the place of t.

  It is finite for lr < 2 n / (the largest eigenvalue) and grows without bound above.
  """
  n = kernel.shape[0]

  def change(values, steps):
    shrink = 1 - lr * values / n
    slow = jnp.expm1(steps * jnp.log1p(-jnp.minimum(lr * values / n, 0.5)))  # keeps the digits of small eigenvalues
    return jnp.where(shrink > 0.5, slow, shrink**steps - 1)

  return _solve(kernel, change)


def ensemble(
  kernels: Callable[..., Kernels],
  x: Array,
  y: Array,
  *,
  solve: Callable[[Array], Solution] = gradient_flow,
) -> Callable[[Array, Array], Law]:
  """(t, x_test (m, ...)) -> Law: infinitely wide networks from random starts, all trained for time t.

  Args:
    kernels: of the architecture, from `dynamics.theory.kernels.dense`.
    x, y: the training set, (n, ...) and (n, k).
    solve: `gradient_flow`, or `gradient_descent` with its learning rate bound: then t is in steps.

  Source: 1902.06720, eq. 14 to 16; at t = infinity the mean is y^T Theta(x, x)^-1 Theta(x, x_test).
  """
  among = kernels(x)
  smoother = solve(among.ntk).smoother

  @precise
  def law(t, x_test):
    across, apart = kernels(x_test, x), kernels(x_test).nngp
    a = smoother(t, across.ntk)
    shared, turned = a @ across.nngp.T, lambda b: jnp.swapaxes(b, -1, -2)
    spread = a @ among.nngp @ turned(a) - shared - turned(shared)
    return Law(a @ y, jnp.broadcast_to(apart, spread.shape) + spread)

  return law


def linear_regression(x: Array) -> Callable[[Array, Array, Array], Array]:
  """(t, w0 (d, k), y (n, k)) -> w_t (d, k), the weights of f = x w under gradient flow, for t a number or (t,).

  Eigenvectors of x^T x / n, (d, d), learn at the rates of its eigenvalues; the weights' part outside of the span of the data
  never moves. For n < d, `gradient_flow(x x^T).test` with cross = x^T is the cheaper form of the same.
  """
  n = x.shape[0]
  rates, vectors = _spectrum(jnp.matmul(x.T, x, precision='float32') / n)

  @precise
  def weights(t, w0, y):
    gradient = vectors.T @ (x.T @ (x @ w0 - y)) / n
    response = _modes(rates, t, lambda rates, t: jnp.expm1(-rates * t))[1]
    moved = jnp.einsum('dp,...p,pk->...dk', vectors, response, gradient)
    return jnp.broadcast_to(w0, moved.shape) + moved

  return weights


# ---- one solution for both --------------------------------------------------------------------------------------


def _solve(kernel: Array, change: Callable[[Array, Array], Array]) -> Solution:
  _check(kernel)
  values, vectors = _spectrum(_matrix(kernel))
  flat = lambda residual: jnp.ravel(residual)[:, None] if kernel.ndim == 4 else residual

  def added(start, out):
    out = out.reshape((*out.shape[:-2], *start.shape))
    return jnp.broadcast_to(start, out.shape) + out

  @precise
  def train(t, f0, y):
    moved, _ = _modes(values, t, change)
    return added(f0, jnp.einsum('np,...p,pk->...nk', vectors, moved, vectors.T @ flat(f0 - y)))

  @precise
  def smoother(t, cross):
    _, response = _modes(values, t, change)
    return -jnp.einsum('mp,...p,np->...mn', _matrix(cross) @ vectors, response, vectors)

  @precise
  def test(t, f0, y, cross, g0):
    return added(g0, -smoother(t, cross) @ flat(f0 - y))

  return Solution(train, test, smoother)


def _modes(values: Array, t: Array, change: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
  """What a mode has changed until t, relative to its distance from the target, and that over its eigenvalue: (..., p).

  A mode without an eigenvalue does not move at any time, infinity included.
  """
  t = jnp.asarray(t, values.dtype)[..., None]
  shape = (*t.shape[:-1], len(values))
  live = jnp.broadcast_to(values > 0, shape)
  safe = jnp.broadcast_to(jnp.where(values > 0, values, 1), shape)
  moved = jnp.where(live, change(safe, jnp.broadcast_to(t, shape)), 0)
  return moved, moved / safe


def _check(kernel: Array) -> None:
  if kernel.ndim not in (2, 4) or kernel.shape[0] != kernel.shape[1] or kernel.shape[2:3] != kernel.shape[3:]:
    raise ValueError(f'a kernel of the training set has shape (n, n) or (n, n, k, k), not {kernel.shape}')


def _matrix(kernel: Array) -> Array:
  """(m, n, k, k) as (m k, n k)."""
  if kernel.ndim == 2:
    return kernel
  m, n, k, _ = kernel.shape
  return jnp.swapaxes(kernel, 1, 2).reshape((m * k, n * k))


def _spectrum(matrix: Array) -> tuple[Array, Array]:
  values, vectors = jnp.linalg.eigh(matrix)
  floor = jnp.finfo(matrix.dtype).eps * len(values) * values[-1]
  return jnp.where(values > floor, values, 0), vectors
