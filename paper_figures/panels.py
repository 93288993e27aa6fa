"""What a drawing shows, as numbers: the curves of each panel, of which the page makes charts to zoom and to read off."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import FillBetweenPolyCollection, LineCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

POINTS = 200  # of a curve; of a longer one evenly chosen points are kept
DIGITS = 4  # of a number
RAISED, LOWERED = (str.maketrans('0123456789+-=()nit', signs) for signs in ('⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵗ', '₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢₜ'))


def panels(figure: Figure) -> list[dict[str, Any]]:
  """The panels that show curves: title, axes `x` and `y`, and `marks`, in the order of drawing.

  A mark is a 'line', 'points', a 'band' or 'bars' (x, low, high; bars along x have y), with its label, colour, dash and numbers;
  a line across the panel has the ends of the axis. Planes of cells, shaded spans and words inside a panel are left out.
  Call it after the figure is drawn, when ticks and limits are settled.
  """
  of_curves = []
  for ax in figure.axes:
    marks = [] if any(isinstance(mark, QuadMesh) for mark in ax.collections) else list(_marks(ax))
    if marks:
      of_curves.append(dict(title=plain(ax.get_title()), x=_axis(ax.xaxis), y=_axis(ax.yaxis), marks=marks))
  return of_curves


def text(figure: Figure) -> str:
  """`panels` as JSON; a number that is not finite is null, a gap."""
  return json.dumps(panels(figure), separators=(',', ':'), ensure_ascii=False)


def plain(words: str) -> str:
  """A text of matplotlib in plain characters: formulas between dollars by Greek letters, raised and lowered figures."""
  return ' '.join(re.sub(r'\$([^$]*)\$', lambda match: _formula(match[1]), words).split())


def _formula(tex: str) -> str:
  tex = re.sub(r'\\(left|right|mathrm|mathit|mathdefault)\b', '', tex)
  tex = re.sub(r'\\([A-Za-z]+)', lambda match: _letter(match[1]), tex)
  for sign, table in (('^', RAISED), ('_', LOWERED)):
    small = lambda match, sign=sign, table=table: _small(match[1] or match[2], sign, table)
    tex = re.sub(rf'\{sign}(?:{{([^{{}}]*)}}|(.))', small, tex)
  return re.sub(r'[{}\\]', '', tex)


def _letter(name: str) -> str:
  """A command of TeX as a letter, where it is one; else its name."""
  case = 'CAPITAL' if name[0].isupper() else 'SMALL'
  try:
    return unicodedata.lookup(f'GREEK {case} LETTER {"lamda" if name.lower() == "lambda" else name}')
  except KeyError:
    return name


def _small(words: str, sign: str, table: Mapping[int, int]) -> str:
  words = words.replace('\N{MINUS SIGN}', '-')
  return words.translate(table) if all(ord(letter) in table for letter in words) else f'{sign}{words}'


def _axis(axis: Axis) -> dict[str, Any]:
  """Label, scale, limits and, where a figure has chosen them, ticks with their words."""
  low, high = axis.get_view_interval()
  about = dict(label=plain(axis.get_label_text()), scale=axis.get_scale(), limits=_numbers([low, high]))
  if isinstance(axis.get_major_locator(), FixedLocator):
    words = [label.get_text() for label in axis.get_ticklabels()]
    about['ticks'] = list(zip(_numbers(axis.get_majorticklocs()), map(plain, words), strict=False))
  return about


def _marks(ax: Axes) -> Iterable[dict[str, Any]]:
  for band in (mark for mark in ax.collections if isinstance(mark, FillBetweenPolyCollection)):
    for path in band.get_paths():
      x, edges = np.unique(path.vertices[:, 0], return_inverse=True)
      low, high = np.full(x.shape, np.inf), np.full(x.shape, -np.inf)
      np.minimum.at(low, edges, path.vertices[:, 1])
      np.maximum.at(high, edges, path.vertices[:, 1])
      yield dict(kind='band', label=_label(band), color=to_hex(band.get_facecolor()[0]), **_thin(x=x, low=low, high=high))
  for bars in (mark for mark in ax.collections if isinstance(mark, LineCollection)):
    ends = np.array([segment for segment in bars.get_segments() if len(segment) == 2])
    if ends.size and bars.get_transform() == ax.transData:
      upright = np.all(ends[:, 0, 0] == ends[:, 1, 0])
      along, across = (1, 0) if upright else (0, 1)
      spans = dict(low=ends[:, :, along].min(1), high=ends[:, :, along].max(1))
      yield dict(kind='bars', label='', color=to_hex(bars.get_color()[0]), **_thin(**{'xy'[across]: ends[:, 0, across]}, **spans))
  for line in ax.lines:
    if (mark := _line(ax, line)) is not None:
      yield mark


def _line(ax: Axes, line: Line2D) -> dict[str, Any] | None:
  """A line, or points where matplotlib draws no line between them; None for one that cannot be seen or is not of data."""
  x, y = (np.asarray(values, float) for values in (line.get_xdata(orig=False), line.get_ydata(orig=False)))
  transform = line.get_transform()
  if transform == ax.get_yaxis_transform(which='grid'):  # axhline: x is a share of the axis
    x = np.asarray(ax.get_xlim())
  elif transform == ax.get_xaxis_transform(which='grid'):
    y = np.asarray(ax.get_ylim())
  elif transform != ax.transData:
    return None
  drawn, pointed = line.get_linestyle() not in ('None', '', ' '), line.get_marker() not in ('None', '', ' ', None)
  if not line.get_visible() or not (drawn or pointed) or not np.isfinite(x * y).any() or line.get_marker() in ('|', '_'):
    return None  # the last are caps of error bars
  about = dict(kind='line' if drawn else 'points', label=_label(line), color=to_hex(line.get_color()))
  if drawn:
    about |= dict(dash={'--': [5, 3], ':': [1, 2], '-.': [5, 2, 1, 2]}.get(line.get_linestyle(), []))
  return about | ({'marked': True} if drawn and pointed else {}) | _thin(x=x, y=y)


def _label(mark) -> str:
  """'' for one that no legend names."""
  label = str(mark.get_label())
  return '' if label.startswith('_') else plain(label)


def _thin(**values: np.ndarray) -> dict[str, list]:
  """At most POINTS numbers of each, the first and the last among them."""
  length = len(next(iter(values.values())))
  places = np.unique(np.linspace(0, length - 1, min(length, POINTS)).round().astype(int))
  return {name: _numbers(numbers[places]) for name, numbers in values.items()}


def _numbers(values: Iterable[float]) -> list[float | None]:
  return [float(f'{value:.{DIGITS}g}') if np.isfinite(value) else None for value in values]
