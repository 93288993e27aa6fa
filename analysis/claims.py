"""Claims: sentences of papers that tables can decide.

The interval of a claim is committed before the runs that judge it (`paper_figures/registration.py`).
What a verdict means, and how often its interval holds the truth: docs/verdicts.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from analysis.statistics import LEVEL, Estimate, resample

HOLDS, FAILS, UNDECIDED, DIVERGED, NOT_RUN = 'holds', 'fails', 'undecided', 'diverged', 'not run'
KINDS = ('paper', 'extension', 'control')
FEWEST = 5  # seeds of a verdict: an interval of fewer cannot hold the truth in nine of ten cases
MISSES = 0.1  # the largest share of false verdicts


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
  """A sentence, where it stands, and the number that decides it. Written with keywords."""

  name: str  # '1a'; the ledger writes the paper before it
  says: str  # what the paper says, in our words, no wider than what was looked at: a sentence that can be read alone
  where: str  # section or figure
  kind: str  # 'paper': the paper says so; 'extension': ours, beside it; 'control': ours, where it should not hold
  of: tuple[str, ...]  # the configs whose runs decide it; () for a claim that theory alone decides
  samples: Callable[..., Any]  # table-getter -> array, or tuple of arrays, (seed, ...); or one number, which is exact
  holds: Interval
  unit: str  # what the number is, with its unit
  statistic: Callable[..., Any] = np.median  # samples -> a number, or one for each arm in which the sentence must hold
  changed: str = ''  # against the paper's own settings, in a short phrase
  reason: str = ''  # of another verdict than 'holds': 'tested: ...' or 'untested: ...'
  scope: Mapping[str, str] = MappingProxyType({})  # where else it should hold -> the argument of its configs, 'file.py:argument'
  against: str = ''  # a claim of another paper that this one contradicts, and why: 'naitsaada2023/2: ...'


class Verdict(NamedTuple):
  claim: Claim
  estimate: Estimate
  verdict: str
  runs: tuple[str, ...]  # identities
  note: str = ''
  scope: Mapping[str, 'Verdict'] = MappingProxyType({})


def judge(claim: Claim, samples: Any, runs: Sequence[str] = ()) -> Verdict:
  """`holds` or `fails` where the whole confidence interval of the statistic lies inside or outside of `claim.holds`.

  Seeds are resampled, and the whole statistic with them. A statistic of several arms holds where each does, and fails where one
  does with a confidence that allows for their number; its number is that of the worst. An interval across a bound, fewer than
  five seeds, and arms too many for the seeds are `undecided`; a NaN is `diverged`. inf is a legitimate value ('never').
  """
  arrays = tuple(np.asarray(array, float) for array in (samples if isinstance(samples, tuple) else (samples,)))
  if arrays[0].ndim == 0:
    value = float(arrays[0])
    inside = claim.holds.low <= value <= claim.holds.high
    return Verdict(claim, Estimate(value, value, value, 0), HOLDS if inside else FAILS, tuple(runs))
  n = len(arrays[0])
  lost = max(np.isnan(array).reshape(len(array), -1).any(axis=1).sum() for array in arrays)
  if lost:
    return Verdict(claim, Estimate(math.nan, math.nan, math.nan, n), DIVERGED, tuple(runs), f'{lost} of {n} seeds diverged')
  resampled = resample(arrays, claim.statistic)
  arms = len(resampled.value)
  low, high = resampled.interval()
  lowest, highest = resampled.interval(1 - (1 - LEVEL) / arms)
  inside = (claim.holds.low <= low) & (high <= claim.holds.high)
  outside = (highest < claim.holds.low) | (lowest > claim.holds.high)
  with np.errstate(invalid='ignore'):  # inf of inf is no room
    room = np.fmin(low - claim.holds.low, claim.holds.high - high)  # to the nearer bound
  worst = int(np.argmin(np.where(outside | ~outside.any(), np.nan_to_num(room, nan=-math.inf), math.inf)))
  measured = Estimate(float(resampled.value[worst]), float(low[worst]), float(high[worst]), n)
  verdict = HOLDS if inside.all() else FAILS if outside.any() else UNDECIDED
  note = f'the worst of {arms}' if arms > 1 else ''
  # The range of n seeds lies on one side of a median with probability 2^-n.
  few = n < FEWEST or (verdict == FAILS and arms * 0.5**n > MISSES)
  if few and verdict in (HOLDS, FAILS):
    verdict, note = UNDECIDED, f'{note}; {n} seeds are too few for a verdict'.lstrip('; ')
  return Verdict(claim, measured, verdict, tuple(runs), note)


def carries(scope: Mapping[str, Verdict]) -> str:
  """'2 of 3: width 64, tanh; not: mod 61 (fails)'; only what was run counts."""
  judged = {where: verdict.verdict for where, verdict in scope.items() if verdict.verdict != NOT_RUN}
  if not judged:
    return NOT_RUN if scope else ''
  there = [where for where, verdict in judged.items() if verdict == HOLDS]
  elsewhere = [f'{where} ({verdict})' for where, verdict in judged.items() if verdict != HOLDS]
  text = f'{len(there)} of {len(judged)}'
  text += f': {", ".join(there)}' if there else ''
  return text + (f'; not: {", ".join(elsewhere)}' if elsewhere else '')


def words(interval: Interval) -> str:
  """'at least 0.99', 'between 0.2 and 0.8'."""
  if interval.high == math.inf:
    return f'at least {interval.low:g}'
  if interval.low == -math.inf:
    return f'at most {interval.high:g}'
  return f'exactly {interval.low:g}' if interval.low == interval.high else f'between {interval.low:g} and {interval.high:g}'


def expected(claim: Claim) -> str:
  """What is registered: the number, its unit, and the interval."""
  return f'{claim.unit}: {words(claim.holds)}'


def number(measured: Estimate) -> str:
  """'0.9995 [0.9991, 0.9998], n = 5', or '0.5, exact'."""
  if not measured.n:
    return f'{measured.value:.4g}, exact'
  if math.isnan(measured.value):
    return f'NaN, n = {measured.n}'
  return f'{measured.value:.4g} [{measured.low:.4g}, {measured.high:.4g}], n = {measured.n}'


def row(paper: str, verdict: Verdict) -> dict[str, Any]:
  """A line of the ledger; `paper` is the name of its file."""
  claim, run = verdict.claim, verdict.verdict != NOT_RUN
  return {
    'claim': f'{paper}/{claim.name}',
    'kind': claim.kind,
    'sentence': claim.says,
    'source': claim.where,
    'changed': claim.changed,
    'expected': expected(claim),
    'measured': number(verdict.estimate) if run else '',
    'verdict': verdict.verdict,
    'note': '; '.join(filter(None, (verdict.note, claim.against and f'against {claim.against}'))),
    'reason': claim.reason if run and verdict.verdict != HOLDS else '',
    'carries': carries(verdict.scope),
    'scope': '; '.join(f'{where}: {number(v.estimate)}' for where, v in verdict.scope.items() if v.verdict != NOT_RUN),
    'runs': ' '.join(verdict.runs),
  }
