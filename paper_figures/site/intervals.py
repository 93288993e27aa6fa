"""The interval of a number against the interval of its claim, read from the words of the ledger and drawn on a line."""

import html
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from analysis.claims import Interval, at_least, at_most, between, words

NUMBER = r'(-?(?:inf|nan|[\d.]+(?:e[+-]?\d+)?))'
MEASURED = re.compile(rf'{NUMBER}(?: \[{NUMBER}, {NUMBER}\], n = (\d+)|, exact)')
BOUNDS = re.compile(rf'(?P<unit>.*): (?:at least {NUMBER}|at most {NUMBER}|exactly {NUMBER}|between {NUMBER} and {NUMBER})')
DECADES = 1.5  # positive numbers that span more are drawn on a log axis
LEFT, RIGHT = 4, 96  # percent of the width between which the axis lies
TOP, ROW, FOOT = 20, 36, 24  # heights in pixels


class Reading(NamedTuple):
  """A measured number; low and high are its confidence interval."""

  value: float
  low: float
  high: float


class Arm(NamedTuple):
  """A line of a drawing."""

  label: str  # 'tanh'
  text: str  # as the ledger has it, '0.93 [0.9, 0.96], n = 5'
  verdict: str


def measured(text: str) -> Reading | None:
  """'0.93 [0.9, 0.96], n = 5' or '0.5, exact' as numbers; None for NaN and for what is no number."""
  match = MEASURED.fullmatch(text)
  if not match:
    return None
  value, low, high = (float(word) if word else float(match[1]) for word in match.groups()[:3])
  return Reading(value, low, high)


def claimed(text: str) -> tuple[str, Interval] | None:
  """('distance in units', the interval) of 'distance in units: at least 0.9'; None where the words are others."""
  match = BOUNDS.fullmatch(text)
  if not match:
    return None
  _, least, most, exact, low, high = match.groups()
  if least:
    return match['unit'], at_least(float(least))
  if most:
    return match['unit'], at_most(float(most))
  return match['unit'], between(float(exact or low), float(exact or high))


def scope(text: str, carries: str) -> list[Arm]:
  """The ledger's columns `scope` and `carries` as lines: where else the sentence was judged, with the number and the verdict."""
  not_held = carries.partition('; not: ')[2]
  arms = []
  for part in re.split(r'(?<=\d); |(?<=exact); ', text) if text else []:
    label, _, number = part.rpartition(': ')
    verdict = re.search(rf'(?:^|, ){re.escape(label)} \(([a-z ]+)\)', not_held)
    arms.append(Arm(label, number, verdict[1] if verdict else 'holds'))
  return arms


def drawing(expected: str, arms: Sequence[Arm]) -> str:
  """An SVG that is as wide as its place: the claim's interval as a band, and below each other the numbers with theirs.

  Args:
    expected: the ledger's column.
    arms: what was measured; those that are no number are named, without a mark.

  Returns:
    '' where there is no number to draw, or no interval to hold it against.
  """
  of, readings = claimed(expected), [measured(arm.text) for arm in arms]
  if not of or not any(readings):
    return ''
  interval = of[1]
  numbers = [*interval, *(number for reading in readings if reading for number in reading)]
  position, ticks, log = _axis([number for number in numbers if math.isfinite(number)])
  foot = TOP + ROW * len(arms)
  marks = [line for i, (arm, reading) in enumerate(zip(arms, readings, strict=True)) for line in _arm(arm, reading, i, position)]
  said = '; '.join(f'{arm.label}: {arm.text or "no number"}, {arm.verdict}' for arm in arms)
  band = _band(interval, position, foot)
  label = html.escape(f'Claimed {words(interval)}. {said}.{" Log axis." if log else ""}')
  axis = [f'<line class="axis" x1="{LEFT}%" x2="{RIGHT}%" y1="{foot}" y2="{foot}"/>']
  for tick in ticks:
    x = position(tick)
    axis.append(f'<line class="axis" x1="{x:.2f}%" x2="{x:.2f}%" y1="{foot}" y2="{foot + 4}"/>')
    axis.append(f'<text class="tick" x="{x:.2f}%" y="{foot + 17}" text-anchor="middle">{tick:g}</text>')
  return '\n'.join(
    [
      f'<svg class="interval" role="img" aria-label="{label}" width="100%" height="{foot + FOOT}">',
      *band,
      *axis,
      *marks,
      '</svg>',
    ]
  )


def _axis(numbers: Sequence[float]):
  """(number -> percent of the width, ticks, whether it is a log axis)."""
  low, high = min(numbers), max(numbers)
  log = low > 0 and math.log10(high / low) > DECADES
  scale = math.log10 if log else float
  first, last = scale(low), scale(high)
  room = 0.08 * (last - first) or abs(first) / 2 or 1.0
  first, last = first - room, last + room

  def position(number: float) -> float:
    if math.isinf(number):
      return RIGHT + 2 if number > 0 else LEFT - 2
    return LEFT + (RIGHT - LEFT) * (scale(number) - first) / (last - first)

  if log:
    powers = range(math.floor(first), math.ceil(last) + 1)
    within = lambda ticks: [tick for tick in ticks if first <= math.log10(tick) <= last]
    few = within(10.0**power for power in powers[:: 1 + len(powers) // 8])
    return position, few if len(few) > 2 else within(k * 10.0**power for power in powers for k in (1, 2, 5)), True
  step = 10 ** math.floor(math.log10((last - first) / 2))
  step *= next((k for k in (5, 2) if (last - first) / (step * k) >= 2), 1)
  return position, [step * i for i in range(math.ceil(first / step), math.floor(last / step) + 1)][:12], False


def _band(interval: Interval, position, foot: int) -> list[str]:
  low, high = position(interval.low), position(interval.high)
  lines = [f'<rect class="band" x="{low:.2f}%" width="{max(high - low, 0.4):.2f}%" y="{TOP - 4}" height="{foot - TOP + 4}"/>']
  for end in dict.fromkeys(end for end in interval if math.isfinite(end)):
    lines.append(f'<line class="bound" x1="{position(end):.2f}%" x2="{position(end):.2f}%" y1="{TOP - 4}" y2="{foot}"/>')
  anchor, x = (
    ('end', RIGHT) if (low + high) / 2 > 70 else ('start', LEFT) if (low + high) / 2 < 30 else ('middle', (low + high) / 2)
  )
  return [*lines, f'<text class="claimed" x="{x:.2f}%" y="11" text-anchor="{anchor}">claimed: {words(interval)}</text>']


def _arm(arm: Arm, reading: Reading | None, place: int, position) -> list[str]:
  y = TOP + ROW * place + 24
  said = f'{arm.label}: {arm.verdict}' + ('' if reading else f' ({arm.text or "no number"})')
  lines = [f'<text class="arm" x="{LEFT}%" y="{y - 9}">{html.escape(said)}</text>']
  if reading:
    low, value, high = (position(number) for number in (reading.low, reading.value, reading.high))
    lines.append(f'<line class="reading" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y}" y2="{y}"/>')
    for end, number in ((low, reading.low), (high, reading.high)):
      lines.append(
        _arrow(end, y, number > 0)
        if math.isinf(number)
        else f'<line class="end" x1="{end:.2f}%" x2="{end:.2f}%" y1="{y - 4}" y2="{y + 4}"/>'
      )
    lines.append(f'<circle class="value {arm.verdict.replace(" ", "-")}" cx="{value:.2f}%" cy="{y}" r="5"/>')
  return lines


def _arrow(x: float, y: int, right: bool) -> str:
  """A number beyond the axis: inf is 'never'."""
  point = 'M0 -5 L8 0 L0 5 Z' if right else 'M0 -5 L-8 0 L0 5 Z'
  return f'<svg x="{x:.2f}%" y="{y}" overflow="visible"><path class="arrow" d="{point}"/></svg>'
