import math

import numpy as np
import pytest

from analysis.claims import Claim, at_least, at_most, between, judge, row, words

CLAIM = Claim(
  name='1', says='it works', where='figure 1', of=(), samples=lambda get: None, holds=between(0.9, 1.0), unit='accuracy'
)


@pytest.mark.parametrize(
  ('values', 'verdict'),
  [
    ([0.95, 0.96, 0.97, 0.95, 0.99], 'holds'),
    ([0.1, 0.2, 0.1, 0.15, 0.1], 'fails'),
    ([0.85, 0.95, 0.88, 0.97, 0.91], 'undecided'),
    ([0.95, math.nan, 0.97], 'diverged'),
    ([0.95, math.inf, 0.97], 'undecided'),
    ([math.inf] * 3, 'fails'),
    ([1.0] * 5, 'holds'),
    ([0.9], 'holds'),
  ],
)
def test_verdicts(values, verdict):
  assert judge(CLAIM, np.array(values), ['a']).verdict == verdict


def test_never_can_hold():
  later = CLAIM._replace(holds=at_least(1.05))
  assert judge(later, np.array([2.0, math.inf, math.inf]), []).verdict == 'holds'


@pytest.mark.parametrize(
  ('interval', 'text'),
  [(at_least(0.9), 'at least 0.9'), (at_most(2), 'at most 2'), (between(1, 1), 'exactly 1'), (between(0, 1), 'between 0 and 1')],
)
def test_the_interval_reads_as_a_sentence(interval, text):
  assert words(interval) == text


def test_a_row_of_the_ledger_holds_number_interval_and_runs():
  line = row('p', judge(CLAIM, np.array([0.95, 0.96, 0.97]), ['abc', 'def']))
  assert line['claim'] == 'p/1'
  assert line['measured'] == '0.96 [0.95, 0.97], n = 3'
  assert line['runs'] == 'abc def'
  assert line['expected'] == 'accuracy: between 0.9 and 1'
