"""Claims: sentences of papers that tables can decide.

The interval of a claim is part of its source code, so the history of the file shows that it stood before the run.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.statistics import Estimate, estimate

HOLDS, FAILS, UNDECIDED, DIVERGED, NOT_RUN = 'holds', 'fails', 'undecided', 'diverged', 'not run'


class Claim(NamedTuple):
  """A sentence, where it stands, and the statistic that decides it."""

  name: str  # 'prieto2025/1a'
  sentence: str  # what the paper says, in our words
  source: str  # section or figure
  configs: tuple[str, ...]  # the configs whose runs decide it; () for a claim that theory alone decides
  statistic: Callable[..., np.ndarray]  # table-getter -> one value a seed, or a group of as many seeds each, (n,)
  low: float  # the claim holds where the statistic lies in [low, high]
  high: float
  measure: str  # what the number is, with its unit


class Verdict(NamedTuple):
  claim: Claim
  estimate: Estimate
  verdict: str
  runs: tuple[str, ...]  # identities
  note: str = ''


def judge(claim: Claim, values: Sequence[float], runs: Sequence[str], combine: Callable[..., float] = np.median) -> Verdict:
  """`holds` or `fails` where the whole confidence interval of the median over seeds lies inside or outside of [low, high].

  An interval across a bound is `undecided`; a NaN value is `diverged`. inf is a legitimate value ('never').
  """
  values = np.asarray(values, float)
  if np.isnan(values).any():
    lost = int(np.isnan(values).sum())
    return Verdict(claim, Estimate(math.nan, math.nan, math.nan, len(values)), DIVERGED, tuple(runs), f'{lost} seeds diverged')
  if np.isinf(values).any():
    # Quantiles still mean something beside 'never'; means and resampled medians do not.
    found = Estimate(float(np.median(values)), float(values.min()), float(values.max()), len(values))
  else:
    found = estimate(values, combine)
  inside = claim.low <= found.low and found.high <= claim.high
  outside = found.high < claim.low or found.low > claim.high
  verdict = HOLDS if inside else FAILS if outside else UNDECIDED
  return Verdict(claim, found, verdict, tuple(runs))


def interval(claim: Claim) -> str:
  """'at least 0.99', 'between 0.2 and 0.8'."""
  if claim.high == math.inf:
    return f'at least {claim.low:g}'
  if claim.low == -math.inf:
    return f'at most {claim.high:g}'
  return f'exactly {claim.low:g}' if claim.low == claim.high else f'between {claim.low:g} and {claim.high:g}'


def number(found: Estimate) -> str:
  """'0.9995 [0.9991, 0.9998], n = 5'."""
  if math.isnan(found.value):
    return f'NaN, n = {found.n}'
  return f'{found.value:.4g} [{found.low:.4g}, {found.high:.4g}], n = {found.n}'


def row(verdict: Verdict) -> dict[str, Any]:
  """A line of the ledger."""
  claim = verdict.claim
  return {
    'claim': claim.name,
    'sentence': claim.sentence,
    'source': claim.source,
    'expected': f'{claim.measure}: {interval(claim)}',
    'measured': number(verdict.estimate) if verdict.verdict != NOT_RUN else '',
    'verdict': verdict.verdict,
    'note': verdict.note,
    'runs': ' '.join(verdict.runs),
  }
