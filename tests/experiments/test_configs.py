"""Every config of the repository traces whole, and takes two steps at a size at which that costs little."""

import pathlib

import jax
import numpy as np
import pytest

from dynamics import plan, train
from experiments import files
from experiments.build import build
from experiments.check import check_cell
from experiments.resolve import needs_x64, resolve_config

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / 'configs').glob('[!_]*.py'))
FEW = {'p': 5, 'train': 20, 'test': 10, 'inputs': 3, 'noise_bits': 3}  # fields of data
SMALL = {'width': 8, 'heads': 2, 'ghost': 2, 'layers': 2, 'expansion': 1}  # fields of models


def shrunk(path):
  """A cell of each kind that a config sweeps over, with two steps, one member and tiny parts."""
  cells = plan.cells({**files.load(str(path)), 'seeds': (0,)}, resolve_config)
  kinds = {}
  for cell in cells:
    config = {**cell.config, 'steps': 2, 'data': tiny_data(cell.config['data']), 'model': tiny_model(cell.config['model'])}
    init = cell.config['init']
    config['init'] = {**init, **{name: min(init[name], 2) for name in ('rank', 'blocks') if name in init}}
    config['batch'] = {**cell.config['batch'], 'size': min(cell.config['batch']['size'], 4)}
    config['data_parallel'] = 1
    if 'transforms' in config:
      config['transforms'] = tuple({**block, **({'most': 8} if 'most' in block else {})} for block in config['transforms'])
    config |= {'interventions': early(cell.config['interventions'])} if 'interventions' in config else {}
    hyper = {name: values[:1] for name, values in cell.hyper.items()}
    hyper |= {'dimension': (4.0,)} if 'dimension' in hyper else {}
    small = cell._replace(config=config, seeds=cell.seeds[:1], hyper=hyper, probes=early(cell.probes), milestones=())
    kinds[str(config)] = small
  return list(kinds.values())


def early(entries):
  """Components that are timed, at steps 0 and 2."""
  return {name: {**entry, 'schedule': {**entry['schedule'], 'at': ()}} for name, entry in entries.items()}


def tiny_data(block):
  few = {**FEW, 'p': 5 if block.get('train_fraction', 1) > 0.2 else 7}
  out = {**block, **{name: min(block[name], most) for name, most in few.items() if name in block}}
  out |= {'source': 'digits'} if block.get('source', 'topics') != 'topics' else {}  # files of pictures that a machine may lack
  return out | ({'singular': block['singular'][:3]} if 'singular' in block else {})


def tiny_model(block):
  out = {**block, **{name: min(block[name], most) if name == 'layers' else most for name, most in SMALL.items() if name in block}}
  return {**out, 'widths': (8,) * min(len(block['widths']), 2)} if 'widths' in block else out


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_traces(path):
  """The last cell, which has the last value of each static field; `make test-slow` traces and trains them all."""
  study, shapes = check_cell(shrunk(path)[-1])
  assert shapes.readings.keys() == study.schedule.keys()
  assert all(jax.tree.leaves(reading) for reading in shapes.readings.values())


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_trains(path):
  cells = shrunk(path)
  for cell in cells:
    check_cell(cell)
  cell = cells[-1]
  if cell.source is not None:
    return  # its source run is not there
  with jax.enable_x64(needs_x64(cell)):
    result = train.run(build(cell), cell.seeds, cell.hyper)
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(result.state.variables['params']))
  assert result.tables
  assert all(table['step'].max() <= 2 for table in result.tables.values())
