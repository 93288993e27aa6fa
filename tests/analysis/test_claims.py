import math

import numpy as np
import pytest

from analysis.claims import Claim, Verdict, at_least, at_most, between, carries, judge, row, words

CLAIM = Claim(
  name='1',
  says='It works',
  where='figure 1',
  kind='paper',
  of=(),
  samples=lambda get: None,
  holds=between(0.9, 1.0),
  unit='accuracy',
)


@pytest.mark.parametrize(
  ('values', 'verdict'),
  [
    ([0.95, 0.96, 0.97, 0.95, 0.99], 'holds'),
    ([0.1, 0.2, 0.1, 0.15, 0.1], 'fails'),
    ([0.85, 0.95, 0.88, 0.97, 0.91], 'undecided'),
    ([0.95, math.nan, 0.97, 0.95, 0.95], 'diverged'),
    ([0.95, math.inf, 0.97, 0.95, 0.95], 'undecided'),
    ([math.inf] * 5, 'fails'),
    ([1.0] * 5, 'holds'),
    ([0.95] * 4, 'undecided'),
    ([0.9], 'undecided'),
  ],
)
def test_verdicts(values, verdict):
  assert judge(CLAIM, np.array(values)).verdict == verdict


def test_never_can_hold():
  later = CLAIM._replace(holds=at_least(1.05))
  assert judge(later, np.array([2.0, math.inf, math.inf, 3.0, math.inf])).verdict == 'holds'


def test_one_number_is_exact():
  judged = judge(CLAIM, 0.95)
  assert judged.verdict == 'holds'
  assert row('p', judged)['measured'] == '0.95, exact'
  assert judge(CLAIM, 0.5).verdict == 'fails'


def test_the_ledger_says_which_claim_another_contradicts():
  values = np.array([0.95] * 5)
  assert row('p', judge(CLAIM, values))['note'] == ''
  contradicts = CLAIM._replace(against='other/2: it says the opposite')
  assert row('p', judge(contradicts, values))['note'] == 'against other/2: it says the opposite'
  arms = contradicts._replace(statistic=lambda v: [np.median(v)] * 2)
  assert row('p', judge(arms, values))['note'] == 'the worst of 2; against other/2: it says the opposite'


def test_the_whole_statistic_is_made_again_from_the_same_seeds_of_all_samples():
  """A difference of paired samples is exact where each varies."""
  shared = np.random.default_rng(0).normal(size=(6, 1))
  apart = CLAIM._replace(statistic=lambda a, b: np.median(a - b))
  judged = judge(apart, (shared[:, 0] + 0.95, shared[:, 0]))
  np.testing.assert_allclose(judged.estimate[:3], 0.95)
  assert judged.verdict == 'holds'
  with pytest.raises(ValueError, match=r'samples of \[6, 5\] seeds cannot be resampled together'):
    judge(apart, (shared, shared[:5]))


@pytest.mark.parametrize(
  ('centres', 'verdict', 'value'),
  [
    ((0.95, 0.93, 0.98), 'holds', 0.98),  # nearest to a bound
    ((0.95, 0.5, 0.97), 'fails', 0.5),
    ((0.95, 0.9, 0.97), 'undecided', 0.9),
    ((0.95, 0.5, 0.97, 0.95), 'undecided', 0.5),  # four arms are too many for five seeds to fail
    ((0.95, 0.93, 0.98, 0.95), 'holds', 0.98),
  ],
)
def test_a_claim_of_several_arms_holds_in_each_and_fails_in_one(centres, verdict, value):
  values = np.array(centres) + np.array([-0.01, 0.0, 0.005, 0.01, -0.005])[:, None]
  judged = judge(CLAIM._replace(statistic=lambda v: np.median(v, axis=0)), values)
  assert judged.verdict == verdict
  assert judged.estimate.value == pytest.approx(value)
  assert f'the worst of {len(centres)}' in judged.note


def test_a_resample_without_a_number_decides_nothing():
  defined = lambda v: math.nan if np.ptp(v) == 0 else 0.95
  assert judge(CLAIM._replace(statistic=defined), np.arange(5.0)).verdict == 'undecided'


@pytest.mark.parametrize(
  ('interval', 'text'),
  [(at_least(0.9), 'at least 0.9'), (at_most(2), 'at most 2'), (between(1, 1), 'exactly 1'), (between(0, 1), 'between 0 and 1')],
)
def test_the_interval_reads_as_a_sentence(interval, text):
  assert words(interval) == text


def test_a_row_of_the_ledger_holds_number_interval_scope_and_runs():
  scope = {'mod 61': judge(CLAIM, np.full(5, 0.95)), 'tanh': judge(CLAIM, np.full(5, 0.2))}
  judged = judge(CLAIM._replace(reason='untested: luck'), np.array([0.95, 0.96, 0.97, 0.96, 0.95]), ['abc', 'def'])
  line = row('p', judged._replace(scope=scope))
  assert line['claim'] == 'p/1'
  assert line['measured'] == '0.96 [0.95, 0.97], n = 5'
  assert line['carries'] == '1 of 2: mod 61; not: tanh (fails)'
  assert line['scope'] == 'mod 61: 0.95 [0.95, 0.95], n = 5; tanh: 0.2 [0.2, 0.2], n = 5'
  assert line['runs'] == 'abc def'
  assert line['expected'] == 'accuracy: between 0.9 and 1'
  assert line['reason'] == ''  # of what holds
  assert row('p', judged._replace(verdict='fails'))['reason'] == 'untested: luck'


def test_what_was_not_run_does_not_count():
  assert carries({}) == ''
  assert carries({'mod 61': Verdict(CLAIM, None, 'not run', ())}) == 'not run'
