"""Tables with the columns, times and labels of real ones, without their runs."""

import functools

import numpy as np

from analysis import tables
from dynamics import plan
from experiments import config as configs
from experiments import tables as stored
from experiments.build import after_start
from experiments.check import check_cell


@functools.cache
def cells_of(config):
  return configs.cells(config)


def traced(cell):
  """(times, column -> dtype), both by probe."""
  study, shapes = check_cell(cell)
  return study.schedule, {probe: stored.columns(reading) for probe, reading in shapes.readings.items()}


@functools.cache
def schema_of(config):
  """`traced` of each cell. What both ends of a sweep have in common, the cells between them have too."""
  cells, seen = cells_of(config), {}

  def schema(cell):
    key = plan.alike(after_start(cell))  # no time and no column depends on the init
    if key not in seen:
      seen[key] = traced(cell)
    return seen[key]

  first, last = schema(cells[0]), schema(cells[-1])
  return [first] * len(cells) if first == last else [schema(cell) for cell in cells]


@functools.cache
def table(config, probe):
  """A table of the probe with random readings between 0 and 1."""
  rng, series = np.random.default_rng(0), []
  for cell, (schedule, kinds) in zip(cells_of(config), schema_of(config), strict=True):
    step, member = (grid.ravel() for grid in np.meshgrid(schedule[probe], np.arange(cell.members), indexing='ij'))
    readings = {name: rng.uniform(0.01, 1, len(step)).astype(dtype) for name, dtype in kinds[probe].items()}
    if 'train_accuracy' in readings:
      readings['train_accuracy'] = np.where(step > 10, 1.0, 0.5)
    series.append({'step': step, 'member': member, 'finite': np.ones(len(step), bool), **readings})
  return tables.labelled(cells_of(config), series)


def spread(rows, size=0.02):
  """(rows,) factors near 1, one a seed: what seeds differ by."""
  return np.exp(size * np.random.default_rng(1).normal(size=1000)[rows['seed'].to_numpy() % 1000])
