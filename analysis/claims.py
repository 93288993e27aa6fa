"""Claims: sentences of papers that tables can decide.

The interval of a claim is part of its source code, so the history of the file shows that it stood before the run.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.statistics import Estimate, estimate

HOLDS, FAILS, UNDECIDED, DIVERGED, NOT_RUN = 'holds', 'fails', 'undecided', 'diverged', 'not run'


class Interval(NamedTuple):
  """Where a claim's number lies if the claim holds; both ends count."""

  low: float
  high: float


def at_least(low: float) -> Interval:
  """From `low` on; inf ('never') is inside."""
  return Interval(low, math.inf)


def at_most(high: float) -> Interval:
  """Up to `high`."""
  return Interval(-math.inf, high)


def between(low: float, high: float) -> Interval:
  """From `low` to `high`; the same number twice asks for exactly this number."""
  return Interval(low, high)


class Claim(NamedTuple):
  """A sentence, where it stands, and the samples that decide it. Written with keywords."""

  name: str  # '1a'; the ledger writes the paper before it
  says: str  # what the paper says, in our words: a sentence that can be read alone
  where: str  # section or figure
  of: tuple[str, ...]  # the configs whose runs decide it; () for a claim that theory alone decides
  samples: Callable[..., np.ndarray]  # table-getter -> (n,): one value a seed, or a group of as many seeds each
  holds: Interval
  unit: str  # what the number is, with its unit


class Verdict(NamedTuple):
  claim: Claim
  estimate: Estimate
  verdict: str
  runs: tuple[str, ...]  # identities
  note: str = ''


def judge(claim: Claim, values: Sequence[float], runs: Sequence[str], combine: Callable[..., float] = np.median) -> Verdict:
  """`holds` or `fails` where the whole confidence interval of the median over seeds lies inside or outside of `claim.holds`.

  An interval across a bound is `undecided`; a NaN value is `diverged`. inf is a legitimate value ('never').
  """
  values = np.asarray(values, float)
  if np.isnan(values).any():
    diverged = int(np.isnan(values).sum())
    return Verdict(
      claim, Estimate(math.nan, math.nan, math.nan, len(values)), DIVERGED, tuple(runs), f'{diverged} seeds diverged'
    )
  if np.isinf(values).any():
    # Quantiles still mean something beside 'never'; means and resampled medians do not.
    measured = Estimate(float(np.median(values)), float(values.min()), float(values.max()), len(values))
  else:
    measured = estimate(values, combine)
  inside = claim.holds.low <= measured.low and measured.high <= claim.holds.high
  outside = measured.high < claim.holds.low or measured.low > claim.holds.high
  verdict = HOLDS if inside else FAILS if outside else UNDECIDED
  return Verdict(claim, measured, verdict, tuple(runs))


def words(interval: Interval) -> str:
  """'at least 0.99', 'between 0.2 and 0.8'."""
  if interval.high == math.inf:
    return f'at least {interval.low:g}'
  if interval.low == -math.inf:
    return f'at most {interval.high:g}'
  return f'exactly {interval.low:g}' if interval.low == interval.high else f'between {interval.low:g} and {interval.high:g}'


def number(measured: Estimate) -> str:
  """'0.9995 [0.9991, 0.9998], n = 5'."""
  if math.isnan(measured.value):
    return f'NaN, n = {measured.n}'
  return f'{measured.value:.4g} [{measured.low:.4g}, {measured.high:.4g}], n = {measured.n}'


def row(paper: str, verdict: Verdict) -> dict[str, Any]:
  """A line of the ledger; `paper` is the name of its file."""
  claim = verdict.claim
  return {
    'claim': f'{paper}/{claim.name}',
    'sentence': claim.says,
    'source': claim.where,
    'expected': f'{claim.unit}: {words(claim.holds)}',
    'measured': number(verdict.estimate) if verdict.verdict != NOT_RUN else '',
    'verdict': verdict.verdict,
    'note': verdict.note,
    'runs': ' '.join(verdict.runs),
  }
