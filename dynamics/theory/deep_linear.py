"""Deep linear networks from small aligned weights: every mode of the data is learned by itself. Plain numpy.

A mode is a singular value s of the input-output correlation y^T x / n, learned by white inputs, x^T x / n = I, with balanced
weights aligned to the data's singular vectors; its strength u(t) is the singular value of the product of the weights.
The loss is that of `losses.mean_squared_error`, and t / tau is the sum of the learning rates: tau = 1 counts time as
steps times learning rate.
"""

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
END = 40.0  # log(u / (s - u)) at which u is s to the last digit


def two_layers(t, s, u0, *, tau: float = 1.0):
  """u(t) = s e^(2 s t / tau) / (e^(2 s t / tau) - 1 + s / u0), the strength of modes under two layers of weights.

  Args:
    t, s, u0: times, singular values s >= 0 and initial strengths u0 > 0, broadcast.
    tau: 1 / learning rate, for times in steps.

  Source: 1312.6120 (the sigmoidal solution for two layers of weights).
  """
  t, s, u0 = (np.asarray(v, float) for v in (t, s, u0))
  # 1/u moves linearly in exp(-2 s t / tau), with slope 2 t / tau where s = 0.
  rate = 2 * s * t / tau
  growth = np.divide(-np.expm1(-rate), s, out=np.broadcast_to(2 * t / tau, rate.shape).copy(), where=s > 0)
  return 1 / (np.exp(-rate) / u0 + growth)


def deep(t, s, u0, *, layers: int, tau: float = 1.0):
  """u(t) of tau du/dt = L u^(2 - 2/L) (s - u), for L layers of weights, to about ten digits.

  The time at which u is reached is an integral (`learning_time`), which is inverted by bisection.

  Args:
    t, s, u0: times >= 0, singular values and initial strengths 0 < u0 < s, broadcast.
    layers: L, the number of weight matrices. The source counts layers of neurons, N_l = L + 1, and so has
      (N_l - 1) u^(2 - 2/(N_l - 1)) (s - u).
    tau: 1 / learning rate, for times in steps.

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
  """The time at which u reaches `fraction` of s; for small u0 and L > 2 about tau u0^(2/L - 1) / (s (L - 2)).

  Args:
    s, u0: as in `deep`, broadcast; `layers`, `tau` too.
    fraction: between u0 / s and 1; an earlier one has a negative time.

  Source: 1312.6120.
  """
  s, u0 = np.broadcast_arrays(*(np.asarray(v, float) for v in (s, u0)))
  _check(s, u0)
  return _time(_logit(u0, s), np.log(fraction / (1 - fraction)), s, layers, tau)


def _time(start, end, s, layers, tau):
  """Between two values of x = log(u / (s - u)), in which dx/dt = L s u^(1 - 2/L) / tau is smooth."""
  half, middle = (end - start) / 2, (end + start) / 2
  x = middle[..., None] + half[..., None] * NODES
  inverse = ((1 + np.exp(-x)) / s[..., None]) ** (1 - 2 / layers)  # u^-(1 - 2/L)
  return tau / (layers * s) * half * (inverse @ WEIGHTS)


def _logit(u, s):
  return np.log(u) - np.log(s - u)


def _check(s, u0):
  if not np.all((u0 > 0) & (u0 < s)):
    raise ValueError(f'a mode starts between 0 and its singular value; here {np.min(u0)} to {np.max(u0)} for s from {np.min(s)}')
