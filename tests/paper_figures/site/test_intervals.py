"""What is drawn on a line is what the ledger's words say."""

import itertools
import math
import random
import re

import pytest

from analysis import claims
from analysis.statistics import Estimate
from paper_figures import output
from paper_figures.__main__ import GALLERY
from paper_figures.site import intervals, records
from paper_figures.site.intervals import Arm

LEDGER = output.read_ledger(GALLERY)


def percent(svg, element, attribute):
  """Numbers of an attribute, in percent of the width, of all elements of a class."""
  tags = re.findall(rf'<\w+ class="{element}[^>]*>', svg)
  return [float(re.search(rf'[ "]{attribute}="(-?[\d.]+)%', tag)[1]) for tag in tags]


@pytest.mark.parametrize('seed', range(20))
def test_words_of_intervals_and_numbers_are_read_back(seed):
  draw = random.Random(seed)
  number = lambda: float(f'{draw.choice((-1, 1)) * 10 ** draw.uniform(-8, 8):.4g}')
  low, high = sorted((number(), number()))
  for interval in (claims.at_least(low), claims.at_most(high), claims.between(low, low), claims.between(float(f'{low:g}'), high)):
    unit, read = intervals.claimed(f'a: b, over c: {claims.words(interval)}')
    assert unit == 'a: b, over c'
    assert read == pytest.approx(interval)
  assert intervals.measured(claims.number(Estimate(low, low, high, 5))) == pytest.approx((low, low, high))
  assert intervals.measured(claims.number(Estimate(high, high, high, 0))) == pytest.approx((high, high, high))


def test_never_is_a_number_and_nan_is_none():
  assert intervals.measured('inf [3.382, inf], n = 10') == (math.inf, 3.382, math.inf)
  assert intervals.measured('NaN, n = 5') is None
  assert intervals.measured('') is None
  assert intervals.claimed('far away') is None
  assert intervals.drawing('x: at least 1', [Arm('measured', 'NaN, n = 5', 'diverged')]) == ''


@pytest.mark.parametrize('row', LEDGER, ids=lambda row: row['claim'])
def test_every_row_of_the_ledger_is_drawn_where_it_says(row):
  arms = [Arm('measured', row['measured'], row['verdict']), *intervals.scope(row['scope'], row['carries'])]
  assert sum(arm.verdict == 'holds' for arm in arms[1:]) == int(row['carries'].partition(' of ')[0] or 0)
  svg = intervals.drawing(row['expected'], arms)
  (low,), (width,) = percent(svg, 'band', 'x'), percent(svg, 'band', 'width')
  starts, ends = percent(svg, 'reading', 'x1'), percent(svg, 'reading', 'x2')
  assert len(starts) == len(arms)
  for arm, start, end in zip(arms, starts, ends, strict=True):
    inside = start >= low - 0.02 and end <= low + width + 0.02
    outside = end < low or start > low + width
    assert inside or arm.verdict != 'holds'  # the worst of several arms is that which is drawn
    assert outside or arm.verdict != 'fails'
  assert all(-0.01 <= x <= 100 for x in (*starts, *ends, low, low + width))
  assert len(re.findall('class="tick"', svg)) >= 2


def test_numbers_of_many_sizes_have_a_log_axis_with_even_decades():
  svg = intervals.drawing('x: at least 10', [Arm('measured', '10000 [1000, 100000], n = 5', 'holds')])
  ticks = percent(svg, 'tick', 'x')
  steps = [b - a for a, b in itertools.pairwise(ticks)]
  assert len(ticks) >= 4
  assert max(steps) == pytest.approx(min(steps), abs=0.02)


def test_words_of_papers_cannot_break_the_page():
  svg = intervals.drawing('x: at least 1', [Arm('<script>alert("&")</script>', '2 [1, 3], n = 5', 'holds')])
  assert '<script' not in svg
  assert '&lt;script&gt;' in svg


def test_how_far_a_claim_carries_is_one_of_four():
  texts = ('2 of 2: a, b', '1 of 2: a; not: b (fails)', '0 of 2; not: a (fails), b (fails)', '', 'not run')
  assert [records.carried(text) for text in texts] == [*records.CARRIES, records.CARRIES[3]]
