"""The curves of a figure, from `paper_figures.panels`, as a chart to zoom and to read off.

altair makes the specification; static/charts.js gives it the numbers, as rows, when a reader asks for the chart.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

WIDTH, HEIGHT = 300, 210  # of a panel
COLUMNS = 2
GRAY = '#808080'  # of text, on a light page and a dark one; and of curves in black, which the dark would hide
LAYERS = dict(band=('band',), across=('bars_x',), along=('bars_y',), line=('line',), points=('line', 'points'))  # kinds of marks
PLAIN = (1e-3, 1e5)  # an axis of logarithms beyond these has powers of ten


def script(name: str, panels: Sequence[Mapping[str, Any]]) -> str:
  """The chart of a figure as a script, because a page from the disk can load one, and no other file."""
  compact = lambda value: json.dumps(value, separators=(',', ':'), ensure_ascii=False)
  return f'charts[{compact(name)}]={{spec:{compact(chart(panels))},panels:{compact(list(panels))}}}'


def chart(panels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """All panels, without their numbers. Each is moved by dragging, zoomed by the wheel, and says what is under the pointer."""
  axis = dict(labelColor=GRAY, titleColor=GRAY, gridColor=f'{GRAY}33', domainColor=GRAY, tickColor=GRAY)
  style = dict(
    axis=axis, title=dict(color=GRAY, fontSize=12), legend=dict(labelColor=GRAY, symbolOpacity=1), view=dict(stroke=None)
  )
  drawn = [_panel(i, panel).to_dict() for i, panel in enumerate(panels)]
  for i, panel in enumerate(drawn):
    del panel['config']  # altair puts its own into each; and it joins charts by copies of copies, which takes seconds
    schema = panel.pop('$schema')
    panel['layer'][0]['params'] = [dict(name=f'zoom_{i}', select='interval', bind='scales')]
  apart = dict.fromkeys(('x', 'y', 'color'), 'independent')
  whole = dict(columns=COLUMNS, spacing=24, background='transparent', config=style, resolve=dict(scale=apart))
  return {'$schema': schema, **whole, 'concat': drawn}


def _panel(number: int, panel: Mapping[str, Any]) -> alt.LayerChart:
  marks = panel['marks']
  x, y = _axis(panel['x'], tilted=True), _axis(panel['y'])
  kinds = {mark['kind'] + ('_x' if 'x' in mark else '_y') * (mark['kind'] == 'bars') for mark in marks}
  of = lambda layer: alt.Chart(alt.NamedData(name=f'{number}_{layer}'))
  tooltip = [alt.Tooltip('name:N', title='curve'), alt.Tooltip('x:Q', title=panel['x']['label'] or 'x')]
  tooltip.append(alt.Tooltip('y:Q', title=panel['y']['label'] or 'y'))
  color = _color(marks)
  size = alt.Size('size:Q', scale=None, legend=None)
  at_x, at_y = alt.X('x:Q', **x), alt.Y('y:Q', **y)
  layers = dict(
    band=[of('band').mark_area(opacity=0.2, clip=True).encode(at_x, alt.Y('low:Q', **y), y2='high:Q', color=color)],
    across=[of('across').mark_rule(clip=True).encode(at_x, alt.Y('low:Q', **y), y2='high:Q', color=color)],
    along=[of('along').mark_rule(clip=True).encode(alt.X('low:Q', **x), at_y, x2='high:Q', color=color)],
    line=[
      of('line')
      .transform_filter(f'indexof({curves}, datum.curve) >= 0')
      .mark_line(clip=True, strokeDash=list(dash))
      .encode(at_x, at_y, color, order='order:Q')
      for dash, curves in _dashes(marks).items()
    ],
    points=[of('points').mark_circle(opacity=1, clip=True).encode(at_x, at_y, color, size, tooltip=tooltip)],
  )
  drawn = [layer for name, each in layers.items() if kinds.intersection(LAYERS[name]) for layer in each]
  return alt.layer(*drawn).properties(title=panel['title'], width=WIDTH, height=HEIGHT)


def _dashes(marks: Sequence[Mapping[str, Any]]) -> dict[tuple[int, ...], list[int]]:
  """dash -> the lines that have it."""
  curves = {}
  for i, mark in enumerate(marks):
    if mark['kind'] == 'line':
      curves.setdefault(tuple(mark['dash'] or (1, 0)), []).append(i)
  return curves


def _axis(axis: Mapping[str, Any], tilted: bool = False) -> dict[str, Any]:
  """What both ends of an encoding need; long words of ticks stand at an angle where they are `tilted`."""
  is_log, (low, high) = axis['scale'] == 'log', axis['limits']
  kind = axis['scale'] if axis['scale'] in ('log', 'symlog') else 'linear'
  scale = alt.Scale(type=kind, domain=[low, high], nice=False)
  about = dict(title=textwrap.wrap(axis['label'], 40) or None)
  if is_log and (low < PLAIN[0] or high > PLAIN[1]):
    about['format'] = '.0~e'
  ticks = [(place, words) for place, words in axis.get('ticks', ()) if words]
  if ticks:
    places, words = map(list, zip(*ticks, strict=True))
    about |= dict(values=places, labelExpr=f'({json.dumps(words)})[indexof({json.dumps(places)}, datum.value)]')
    about |= dict(labelAngle=-35, labelAlign='right') if max(map(len, words)) > 6 and tilted else {}
  return dict(scale=scale, axis=alt.Axis(**about))


def _color(marks: Sequence[Mapping[str, Any]]) -> alt.Color:
  """Each mark in the colour of the figure; the legend has those with a name."""
  named = {i: mark['label'] for i, mark in enumerate(marks) if mark['label']}
  scale = alt.Scale(domain=list(range(len(marks))), range=[mark['color'].replace('#000000', GRAY) for mark in marks])
  legend = alt.Legend(
    values=list(named), labelExpr=f'({json.dumps(named)})[datum.label]', orient='bottom', columns=2, labelLimit=300
  )
  return alt.Color('curve:N', scale=scale, title=None, legend=legend if named else None)
