"""A report as one HTML file that needs no network: what was run, how it went, and every reading."""

import base64
import collections
import html
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import pandas as pd
import vl_convert

from analysis.report import charts
from analysis.report.readings import (
  MOMENTS,
  STEPS,
  Run,
  curves,
  labels,
  moments,
  probes,
  ranges,
  settings,
  shown,
  thinned,
  varied,
)
from dynamics import progress

TEMPLATE = pathlib.Path(__file__).with_name('page.html')


class About(NamedTuple):
  """What a report is of."""

  title: str
  text: str  # the docstring of the config
  settings: Mapping[str, Any]  # path -> value, what all runs share
  make: str  # the command that makes missing runs
  again: str  # the command of this page
  versions: Mapping[str, str]  # of the packages that are installed now


def page(about: About, runs: Sequence[Run]) -> str:
  """The whole file."""
  sections, specs, tables, notes = [], [], [], []
  for probe in probes(runs):
    table = curves(runs, probe)
    readings, omitted = shown(list(dict.fromkeys(table['reading'])))
    arrays, large = moments(runs, probe)
    tables.append(thinned(arrays.assign(reading=probe + ': ' + arrays['reading'].astype(str)), MOMENTS))
    notes += [f'{probe}: {name} is too large to be shown.' for name in large]
    sections.append(_section(probe, table, omitted, len(readings)))
    specs.append(charts.curves(thinned(table, STEPS), readings, f'Readings of {probe} against steps') if readings else {})
  arrays = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
  moving = len(arrays) > 0
  if moving:
    names = list(dict.fromkeys(arrays['reading']))
    chosen, omitted = shown(names)
    notes += [f'{omitted} more are not drawn.'] * (omitted > 0)
    specs.append(charts.moving(arrays, chosen, 'Array readings at a step that a slider sets'))
  template = jinja2.Environment(autoescape=False).from_string(TEMPLATE.read_text())
  return template.render(
    title=html.escape(about.title),
    about=[' '.join(part.split()) for part in re.split(r'\n\n|\n(?=[A-Z][a-z ]+: )', about.text) if part.strip()],
    notes=[note for run in runs for note in run.notes] + _changed(about, runs) + _left_out(runs),
    summary=summary(runs),
    runs=dict(head=HEAD, rows=[_row(run, varied(runs)) for run in runs]),
    probes=sections,
    moving=moving,
    moving_notes=notes,
    settings=[(field, _text(value)) for field, value in about.settings.items()],
    make=about.make,
    again=about.again,
    made=_made(runs),
    specs=json.dumps(specs).replace('</', '<\\/'),
    script=vl_convert.javascript_bundle().replace('</script', '<\\/script'),
  )


def summary(runs: Sequence[Run]) -> str:
  """'6 runs: 4 done, 2 not run; 432 members, 3 of which diverged.'"""
  states = collections.Counter(run.state for run in runs)
  counts = ', '.join(f'{count} {state}' for state, count in states.items())
  lost, members = sum(len(run.diverged) for run in runs), sum(len(run.settings) for run in runs)
  return f'{len(runs)} run{"s" * (len(runs) > 1)}: {counts}; {members} members, {lost or "none"} of which diverged.'


HEAD = ('run', 'differs in', 'members', 'state', 'step', 'training took', 'diverged')


def _row(run: Run, names: Sequence[str]) -> tuple[str, ...]:
  each, seeds = labels(run, names), run.settings['seed']
  which = [f'seed {seeds.iloc[i]}' + (f', {each[i]}' if names else '') for i in run.diverged]
  lost = '; '.join(which[:5]) + (f'; and {len(which) - 5} more' if len(which) > 5 else '')
  took = progress.duration(run.seconds) if run.state == 'done' else ''
  return run.name, ranges(run, names), str(len(run.settings)), run.state, f'{run.step} of {run.steps}', took, lost


def _section(probe: str, table: pd.DataFrame, omitted: int, drawn: int) -> dict[str, Any]:
  lost = int(table['lost'].sum())
  notes = [f'{omitted} readings of single leaves are in the CSV and not drawn.'] * (omitted > 0)
  notes += [f'{lost} numbers are not finite, and are left out of medians and bands.'] * (lost > 0)
  notes += ['All readings of this probe are arrays, below.'] * (not drawn)
  csv = base64.b64encode(table.to_csv(index=False).encode()).decode()
  return dict(name=probe, chart=drawn > 0, csv=csv, notes=notes)


def _left_out(runs: Sequence[Run]) -> list[str]:
  drawn, count = settings(runs)
  text = f'{count} settings are too many for curves: {len(drawn)} of them are drawn, evenly spaced in the order of the sweep.'
  return [text] if count > len(drawn) else []


def _changed(about: About, runs: Sequence[Run]) -> list[str]:
  """A sentence on runs that other versions have made."""
  others = collections.Counter(
    f'{package} {session["versions"][package]}'
    for run in runs
    for session in run.sessions[:1]
    for package, now in about.versions.items()
    if session.get('versions', {}).get(package, now) != now
  )
  text = 'Made with {what}, where another version is installed now: {count} of the runs. New runs equal them only to rounding.'
  return [text.format(count=count, what=what) for what, count in others.items()]


def _made(runs: Sequence[Run]) -> list[tuple[int, str]]:
  """How many runs were made with which versions, on what, by which commit."""

  def text(session: Mapping[str, Any]) -> str:
    versions = ', '.join(f'{name} {version}' for name, version in session.get('versions', {}).items())
    return f'{versions}; {session.get("device", "unknown device")}; commit {session.get("git", "unknown")}'

  return [
    (count, line) for line, count in collections.Counter(text(run.sessions[0]) for run in runs if run.sessions).most_common()
  ]


def _text(value: Any) -> str:
  words = str(value)
  return words if len(words) <= 300 else f'{words[:300]} ...'
