"""Whether eigenvalues beyond the reported ones are missing: a Krylov space of one vector holds one copy of each.

Let r be a random unit vector in the complement, of dimension d, of known Ritz vectors. Lanczos from r, with the operator
restricted to that complement, gives a tridiagonal T with orthonormal polynomials p_0, p_1, ... An eigenvalue of T above a
level x shows that an eigenvalue is missing. If there is none, an eigenvector of the complement whose value is x or more has
a squared cosine of at most 1 / sum_i p_i(x)^2 with r, and r has so little of it with a probability of at most
sqrt(2 d / (pi sum_i p_i(x)^2)). The sum grows with each step by the square of (x - bulk) / (width of the bulk), so a few
steps tell. Without looking at T, 1.65 sqrt(d) exp(-(2 steps - 1) sqrt(gap)) would be the bound.
Source: Szego 1939, section 3.41 (the inequality); Kuczynski and Wozniakowski 1992, theorem 4.2 (random starts).
"""

import math
from typing import NamedTuple

import jax.numpy as jnp

from dynamics.types import Array

FAILURE = 1e-3  # the probability that a missing eigenvalue escapes


class Levels(NamedTuple):
  """Of each of l ends of a spectrum; values at the bottom are negated, so that every end is a top."""

  signs: Array  # (l,) 1 at the top, -1 at the bottom
  values: Array  # (l,) a missing eigenvalue above is one that would change what is reported
  needed: Array  # (l,) bool: some reported values are larger than the last by more than the tolerance


class Verdict(NamedTuple):
  """What Lanczos steps say about each of l levels x; from `undecided`."""

  pivot: Array  # (l,) of x - T, all positive while the eigenvalues of T are below x
  logarithm: Array  # (l,) of the square of the last polynomial at x
  squares: Array  # (l,) the sum of these squares
  beta: Array  # () the last one


def levels(values: Array, residuals: Array, top: int, bottom: int, resolution: Array) -> tuple[Levels, Array]:
  """The levels of Ritz pairs (v,), the `top` largest before the `bottom` smallest before others, and which rows to deflate.

  A missing copy of the last value reported at an end changes nothing. The level therefore lies below the smallest value that
  is larger than the last one by more than `resolution`. A deflated vector of value t that is no eigenvector to a residual
  of s lowers it by s^2 / (x - t), and is not deflated if that is much.
  """
  reported, each = top + bottom, []
  for sign, first, last in ((1, 0, top), (-1, top, reported)):
    if last - first < 2:
      continue
    end = sign * values[first:last]
    above = end > end[-1] + resolution
    lowest = jnp.min(jnp.where(above, end, jnp.inf))
    gap = jnp.where(jnp.any(above), lowest - end[-1], 0)
    x = jnp.where(jnp.any(above), lowest, 0) - gap / 4
    below = x - sign * values
    cost = jnp.where(below > 0, jnp.square(residuals) / jnp.where(below > 0, below, 1), jnp.inf)
    cost = jnp.where(jnp.arange(values.shape[0]) < reported, jnp.where(below > 0, cost, 0), cost)
    each.append((sign, x, gap, jnp.any(above), cost))
  signs, x, gap, needed, cost = map(jnp.stack, zip(*((jnp.asarray(s, values.dtype), *rest) for s, *rest in each), strict=True))
  extras = max(values.shape[0] - reported, 1)
  cheap = jnp.all((cost <= gap[:, None] / (8 * extras)) | ~needed[:, None], axis=0)
  deflated = (jnp.arange(values.shape[0]) < reported) | cheap
  lowered = jnp.sum(jnp.where(deflated[None], cost, 0), axis=1)
  return Levels(signs, x - jnp.minimum(jnp.where(needed, lowered, 0), gap / 4), needed), deflated


def undecided(level: Levels) -> Verdict:
  zero = jnp.zeros_like(level.values)
  return Verdict(zero + jnp.inf, zero, zero + 1, jnp.zeros((), zero.dtype))


def after(verdict: Verdict, level: Levels, alpha: Array, beta: Array) -> Verdict:
  """The verdict after one more Lanczos step. A beta of zero ends T: nothing else can be seen from r."""
  pivot = level.values - level.signs * alpha - jnp.square(verdict.beta) / verdict.pivot
  growth = 2 * (jnp.log(jnp.abs(pivot)) - jnp.log(beta))
  logarithm = verdict.logarithm + growth
  return Verdict(pivot, logarithm, verdict.squares + jnp.exp(jnp.minimum(logarithm, 80)), beta)


def missing(verdict: Verdict, level: Levels) -> Array:
  """(): an eigenvalue lies above a level."""
  return jnp.any(level.needed & ~(verdict.pivot > 0))


def escape(verdict: Verdict, dimension: Array) -> Array:
  """(l,) the log of a bound on the probability that a missing eigenvalue shows nowhere; `dimension` is the complement's."""
  return jnp.minimum(jnp.log(2 * dimension / (jnp.pi * verdict.squares)) / 2, 0)


def complete(verdict: Verdict, level: Levels, dimension: Array, earlier: Array) -> Array:
  """(): no eigenvalue is missing, to FAILURE at each end. `earlier` (l,) sums `escape` over earlier random vectors."""
  rare = earlier + escape(verdict, dimension) <= math.log(FAILURE)
  return jnp.all(~level.needed | ((verdict.pivot > 0) & rare))
