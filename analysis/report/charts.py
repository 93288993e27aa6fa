"""Charts that a reader can zoom, read off and move through training; altair makes their specifications."""

import altair as alt
import numpy as np
import pandas as pd

COLORS = [
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#F0E442',
  '#999999',
]  # told apart by the colour-blind
WIDTH, HEIGHT, COLUMNS = 250, 170, 3
WIDE = 30.0  # largest over smallest positive step from which the axis is in logarithms
DECADES = 1e3  # largest over smallest value from which an axis of positive values is in logarithms
DIGITS = 5  # of a number in the page


def curves(table: pd.DataFrame, readings: list[str], description: str) -> dict:
  """A panel a reading: the median of each setting against steps, with the band of all members."""
  table = _rounded(table)
  pick = alt.selection_point(name='pick', fields=['setting'], bind='legend')
  panels = [_curve(table[table['reading'] == reading], reading, pick) for reading in readings]
  panels = [panel.interactive(name=f'zoom_{i}') for i, panel in enumerate(panels)]
  panels[0] = panels[0].add_params(pick)  # of all panels: their legend is one
  chart = alt.concat(*panels, columns=COLUMNS, spacing=24).resolve_scale(color='shared', x='independent', y='independent')
  return _finished(chart, description)


def _curve(rows: pd.DataFrame, reading: str, pick: alt.Parameter) -> alt.LayerChart:
  base = alt.Chart(rows.drop(columns='reading')).encode(
    x=alt.X('step:Q', scale=_steps(rows['step']), title='step'),
    color=_color(rows),
    opacity=alt.condition(pick, alt.value(1.0), alt.value(0.1)),
  )
  scale = _values(rows[['low', 'high']].to_numpy())
  words = ['setting:N', 'step:Q', 'median:Q', 'low:Q', 'high:Q', 'members:Q', alt.Tooltip('lost:Q', title='of which no number')]
  line = base.mark_line(point=alt.OverlayMarkDef(size=14), strokeWidth=1.5).encode(
    y=alt.Y('median:Q', scale=scale, title=None), tooltip=words
  )
  mark = base.mark_area if rows['step'].nunique() > 1 else base.mark_rule
  band = mark().encode(y=alt.Y('low:Q', scale=scale, title=None), y2='high:Q')
  layers = alt.layer(band.encode(opacity=alt.condition(pick, alt.value(0.15), alt.value(0.02))), line)
  return layers.properties(title=reading, width=WIDTH, height=HEIGHT)


def moving(table: pd.DataFrame, readings: list[str], description: str) -> dict:
  """A panel an array reading, and one slider that moves all of them through the steps at which they were read."""
  steps = np.unique(table['step'])
  at = alt.param(
    'moment', value=len(steps) - 1, bind=alt.binding_range(min=0, max=len(steps) - 1, step=1, name='reading number ')
  )
  panels = [_moment(_rounded(table[table['reading'] == reading]), reading, steps) for reading in readings]
  panels = [panel.interactive(name=f'zoom_{i}') for i, panel in enumerate(panels)]
  clock = (
    alt.Chart(pd.DataFrame({'number': np.arange(len(steps)), 'step': steps}))
    .transform_filter('datum.number == moment')
    .mark_text(align='left', fontSize=13, color='gray')
    .encode(text=alt.Text('label:N'))
    .transform_calculate(label="'step ' + datum.step")
    .properties(width=WIDTH, height=16, view=alt.ViewConfig(stroke=None))
  )
  grid = alt.concat(*panels, columns=COLUMNS, spacing=24).resolve_scale(color='independent', x='independent', y='independent')
  return _finished(alt.vconcat(clock, grid).add_params(at).resolve_scale(color='independent'), description)


def _moment(rows: pd.DataFrame, reading: str, steps: np.ndarray) -> alt.Chart:
  """One array reading at the last step at which it was read up to the slider's."""
  read_at = np.unique(rows['step'])
  first = np.searchsorted(steps, read_at)  # numbers at which each of its steps begins to show
  ends = np.append(first[1:], len(steps))
  place = np.searchsorted(read_at, rows['step'])
  rows = rows.assign(first=first[place], ends=ends[place]).drop(columns=['reading', 'low', 'high', 'lost', 'members'])
  plane = rows['column'].nunique() > 1
  if plane:
    rows = rows[rows['setting'] == rows['setting'].iloc[0]]
  base = alt.Chart(rows).transform_filter('datum.first <= moment && moment < datum.ends')
  title = f'{reading}, {rows["setting"].iloc[0]}' if plane else reading
  if plane:
    chart = base.mark_rect().encode(
      x=alt.X('column:O', axis=None),
      y=alt.Y('row:O', axis=None),
      color=alt.Color('median:Q', scale=alt.Scale(scheme='viridis'), title=None),
      tooltip=['row:O', 'column:O', 'median:Q', 'step:Q'],
    )
    return chart.properties(title=title, width=WIDTH, height=WIDTH)
  chart = base.mark_line(point=alt.OverlayMarkDef(size=14), strokeWidth=1.5).encode(
    x=alt.X('row:Q', title='entry'),
    y=alt.Y('median:Q', scale=_values(rows[['median']].to_numpy()), title=None),
    color=_color(rows),
    tooltip=['setting:N', 'step:Q', 'row:Q', 'median:Q'],
  )
  return chart.properties(title=title, width=WIDTH, height=HEIGHT)


def _color(rows: pd.DataFrame) -> alt.Color:
  names = list(dict.fromkeys(rows['setting']))
  scale = alt.Scale(domain=names, range=COLORS) if len(names) <= len(COLORS) else alt.Scale(domain=names, scheme='viridis')
  return alt.Color(
    'setting:N', scale=scale, title=None, legend=alt.Legend(orient='bottom', columns=2, labelLimit=400, symbolOpacity=1)
  )


def _steps(steps: pd.Series) -> alt.Scale:
  positive = np.unique(steps[steps > 0])
  gaps = np.diff(positive)
  log = len(gaps) > 1 and gaps.max() / gaps.min() > WIDE
  return alt.Scale(type='symlog', constant=float(positive[0])) if log else alt.Scale(zero=False)


def _values(values: np.ndarray) -> alt.Scale:
  finite = values[np.isfinite(values)]
  log = finite.size and finite.min() > 0 and finite.max() / finite.min() > DECADES
  return alt.Scale(type='log') if log else alt.Scale(zero=False)


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
  """Numbers as long as a page needs them."""
  short = lambda value: float(f'{value:.{DIGITS}g}')
  return table.assign(**{name: table[name].map(short) for name in ('median', 'low', 'high')})


def _finished(chart: alt.TopLevelMixin, description: str) -> dict:
  """The specification, on any background, with a text for those who cannot see it."""
  axis = dict(labelColor='gray', titleColor='gray', gridColor='#88888833', domainColor='gray', tickColor='gray')
  chart = chart.configure(background='transparent').configure_axis(**axis).configure_title(color='gray', fontSize=12)
  chart = chart.configure_legend(labelColor='gray').configure_view(stroke=None)
  with alt.data_transformers.enable('default', max_rows=None):
    return chart.properties(description=description).to_dict()
