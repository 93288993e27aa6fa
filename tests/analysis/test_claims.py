import math

import numpy as np
import pytest

from analysis.claims import Claim, interval, judge, row

CLAIM = Claim('p/1', 'it works', 'figure 1', (), lambda get: None, 0.9, 1.0, 'accuracy')


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
  later = CLAIM._replace(low=1.05, high=math.inf)
  assert judge(later, np.array([2.0, math.inf, math.inf]), []).verdict == 'holds'


@pytest.mark.parametrize(
  ('low', 'high', 'words'),
  [(0.9, math.inf, 'at least 0.9'), (-math.inf, 2, 'at most 2'), (1, 1, 'exactly 1'), (0, 1, 'between 0 and 1')],
)
def test_the_interval_reads_as_a_sentence(low, high, words):
  assert interval(CLAIM._replace(low=low, high=high)) == words


def test_a_row_of_the_ledger_holds_number_interval_and_runs():
  found = row(judge(CLAIM, np.array([0.95, 0.96, 0.97]), ['abc', 'def']))
  assert found['measured'] == '0.96 [0.95, 0.97], n = 3'
  assert found['runs'] == 'abc def'
  assert found['expected'] == 'accuracy: between 0.9 and 1'
