"""Every config of the repository builds and takes two steps, at a size at which that costs nothing."""

import pathlib

import jax
import numpy as np
import pytest

from dynamics import plan, train
from experiments import config, supervised

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / 'configs').glob('[!_]*.py'))


def shrunk(path):
  """The first cell of each kind that a config sweeps over, with two steps, one member and tiny parts."""
  small = config.load(str(path))
  small['seeds'] = (0,)
  sweep = small.pop('sweep', ())
  cells = plan.cells({**small, 'sweep': sweep}, supervised.resolve_config)
  found = {}
  for cell in cells:
    own = {**cell.config, 'steps': 2, 'milestones': (), 'data': tiny_data(cell.config['data'])}
    own['model'] = tiny_model(cell.config['model'])
    own['init'] = {
      **cell.config['init'],
      **{n: min(cell.config['init'][n], 2) for n in ('rank', 'blocks') if n in cell.config['init']},
    }
    own['batch'] = {**cell.config['batch'], 'size': min(cell.config['batch']['size'], 4)}
    own['data_parallel'] = 1
    own |= {'subspace': {**cell.config['subspace'], 'most': 8}} if 'subspace' in cell.config else {}
    one = cell._replace(config=own, seeds=cell.seeds[:1], hyper={name: values[:1] for name, values in cell.hyper.items()})
    found[str(own)] = one
  return list(found.values())


def tiny_data(block):
  small = {'p': 5 if block.get('train_fraction', 1) > 0.2 else 7, 'train': 20, 'test': 10, 'inputs': 3, 'noise_bits': 3}
  source = {'source': 'digits'} if 'source' in block else {}
  few = {'singular': block['singular'][:3]} if 'singular' in block else {}
  return {**block, **source, **few, **{name: min(block[name], value) for name, value in small.items() if name in block}}


def tiny_model(block):
  small = {'width': 8, 'heads': 2, 'ghost': 2, 'layers': min(block.get('layers', 1), 2), 'expansion': 1}
  out = {**block, **{name: value for name, value in small.items() if name in block}}
  return {**out, 'widths': (8,) * min(len(block['widths']), 2)} if 'widths' in block else out


@pytest.mark.filterwarnings('ignore:Error reading persistent compilation cache')  # another worker is writing it
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path):
  cells = shrunk(path)
  for cell in cells:
    supervised.check_cell(cell)
  cell = cells[-1]  # the last value of each static field: the defaults run elsewhere
  with jax.enable_x64(supervised.wide(cell.config)):
    result = train.run(supervised.build(cell.config), cell.seeds, cell.hyper)
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(result.state.variables['params']))
  assert result.tables
  assert all(table['step'][-1] <= 2 for table in result.tables.values())
