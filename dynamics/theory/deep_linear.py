"""Mode dynamics of deep linear networks under gradient flow from small aligned weights, in numpy.

Assumptions: white inputs, x^T x / n = I; balanced weights that are aligned with the singular vectors of the input-output
correlation y^T x / n. Each singular value s of this correlation is then a mode that is learned independently of the others.
Its strength u(t) is the corresponding singular value of the product of all weight matrices.

The loss is that of `losses.mean_squared_error`. t / tau is the sum of the learning rates of all steps, so that with tau = 1
time is steps times learning rate.
"""

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
END = 40.0  # log(u / (s - u)) at which u equals s in float64


def two_layers(t, s, u0, *, tau: float = 1.0):
  """The mode strength u(t) = s e^(2 s t / tau) / (e^(2 s t / tau) - 1 + s / u0) with two weight matrices.

  Args:
    t, s, u0: times, singular values s >= 0 and initial strengths u0 > 0, which broadcast to the shape of the result.
    tau: 1 / learning rate if times are in steps.

  Source: 1312.6120 (the sigmoidal solution for two weight matrices).
  """
  t, s, u0 = (np.asarray(v, float) for v in (t, s, u0))
  # 1/u = exp(-2 s t / tau) / u0 + (1 - exp(-2 s t / tau)) / s, whose last term tends to 2 t / tau as s goes to 0.
  rate = 2 * s * t / tau
  growth = np.divide(-np.expm1(-rate), s, out=np.broadcast_to(2 * t / tau, rate.shape).copy(), where=s > 0)
  return 1 / (np.exp(-rate) / u0 + growth)


def deep(t, s, u0, *, layers: int, tau: float = 1.0):
  """The mode strength u(t) with L weight matrices, the solution of tau du/dt = L u^(2 - 2/L) (s - u), to about ten digits.

  The time at which u is reached is an integral, as in `learning_time`, which is inverted by bisection.

  Args:
    t, s, u0: times >= 0, singular values and initial strengths 0 < u0 < s, which broadcast to the shape of the result.
    layers: L, the number of weight matrices. The source counts layers of neurons, N_l = L + 1, and has
      (N_l - 1) u^(2 - 2/(N_l - 1)) (s - u).
    tau: 1 / learning rate if times are in steps.

  Raises:
    ValueError: u0 outside (0, s).

  Source: 1312.6120 (deeper networks); at L = 2 it is `two_layers`.
  """
  t, s, u0 = np.broadcast_arrays(*(np.asarray(v, float) for v in (t, s, u0)))
  _check(s, u0)
  start = _logit(u0, s)
  low, high = start.copy(), np.maximum(start, END)
  for _ in range(60):
    middle = (low + high) / 2
    early = _time(start, middle, s, layers, tau) < t
    low, high = np.where(early, middle, low), np.where(early, high, middle)
  return s / (1 + np.exp(-(low + high) / 2))


def learning_time(s, u0, *, layers: int = 2, fraction: float = 0.5, tau: float = 1.0):
  """The time at which u reaches `fraction` * s. For small u0 and L > 2 it is about tau u0^(2/L - 1) / (s (L - 2)).

  Args:
    s, u0, layers, tau: as in `deep`.
    fraction: between u0 / s and 1. Below u0 / s the time is negative.

  Raises:
    ValueError: u0 outside (0, s).

  Source: 1312.6120.
  """
  s, u0 = np.broadcast_arrays(*(np.asarray(v, float) for v in (s, u0)))
  _check(s, u0)
  return _time(_logit(u0, s), np.log(fraction / (1 - fraction)), s, layers, tau)


def _time(start, end, s, layers, tau):
  """The time between two values of x = log(u / (s - u)), for which dx/dt = L s u^(1 - 2/L) / tau, by Gauss quadrature."""
  half, middle = (end - start) / 2, (end + start) / 2
  x = middle[..., None] + half[..., None] * NODES
  inverse = ((1 + np.exp(-x)) / s[..., None]) ** (1 - 2 / layers)  # u^-(1 - 2/L)
  return tau / (layers * s) * half * (inverse @ WEIGHTS)


def _logit(u, s):
  return np.log(u) - np.log(s - u)


def _check(s, u0):
  if not np.all((u0 > 0) & (u0 < s)):
    raise ValueError(f'a mode starts between 0 and its singular value; here {np.min(u0)} to {np.max(u0)} for s from {np.min(s)}')
