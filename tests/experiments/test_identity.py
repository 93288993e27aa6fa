"""What a run's name depends on, and who reads a hyper value: laws over all components, from plans alone."""

import inspect

import pytest

from dynamics import plan
from dynamics.components import readers
from dynamics.schema import ConfigError, fields, hyper_values
from experiments.resolve import ORDERED, SINGLE, families, resolve_config

FAMILIES = families()
COMPONENTS = [(block, name) for block, table in FAMILIES.items() for name in table]
REQUIRED = {  # of fields without default
  'data.arrays': {'file': __file__},  # any file: its bytes are part of the identity
  'data.table': {'file': __file__, 'target': 'y'},
  'init.low_rank': {'rank': 1},
  'init.power_law': {'exponent': 1.0},
  'init.block': {'blocks': 2},
  'init.permuted_block': {'blocks': 2},
  'transforms.subspace': {'most': 4},
}
PLAIN = {
  'data': {'name': 'modular', 'p': 5},
  'model': {'name': 'mlp'},
  'loss': {'name': 'cross_entropy'},
  'optimizer': {'name': 'sgd'},
  'hyper': {'lr': 0.1},
  'steps': 4,
  'seeds': (0, 1),
  'probes': {'performance': {}},
}


def using(block, name):
  """A config with one component in place, its required fields and hyper values set; whether parts fit is not asked here."""
  entry = REQUIRED.get(f'{block}.{name}', {})
  if block in SINGLE:
    entry = {'name': name, **entry}
  elif block in ORDERED:
    entry = ({'name': name, **entry},)
  else:
    entry = {name: entry}
  read = hyper_values(FAMILIES[block][name]).items()
  hyper = {n: value(parameter) for n, parameter in read if parameter.default is inspect.Parameter.empty}
  return {**PLAIN, block: entry, 'hyper': {'lr': 0.1, **hyper}}


def value(parameter):
  """A value within the bounds."""
  bounds = parameter.annotation
  return next(v for v in (1.0, 0.5, 0.0, 2.0) if bounds.holds(v))


def cell(config):
  (cell,) = plan.cells(config, resolve_config)
  return cell


@pytest.mark.parametrize(('block', 'name'), COMPONENTS)
def test_every_component_resolves_with_its_defaults(block, name):
  if name == 'source' and block == 'init':
    return  # needs a block source: tests/experiments/test_sources.py
  resolved = cell(using(block, name))
  where = {**resolved.config, 'probes': resolved.probes}[block]
  entry = where if block in SINGLE else where[0] if block in ORDERED else where[name]
  assert set(fields(FAMILIES[block][name])) <= set(entry)


@pytest.mark.parametrize(('block', 'name'), COMPONENTS)
def test_a_revision_renames_the_runs_that_use_the_component_and_no_others(block, name, monkeypatch):
  users, others = using(block, name), using('data', 'teacher')
  if block == 'data' and name == 'teacher':
    others = PLAIN
  maker = FAMILIES[block][name]
  uses = lambda config: cell(config)
  before, before_others = uses(users), uses(others)
  monkeypatch.setattr(maker, 'revision', maker.revision + 1)
  after, after_others = uses(users), uses(others)
  if block == 'probes':
    assert plan.identity(after) == plan.identity(before)
    for probe in before.probes:
      renamed = plan.table_identity(after, probe) != plan.table_identity(before, probe)
      assert renamed == (probe == name)
  else:
    assert plan.identity(after) != plan.identity(before)
    assert [plan.table_identity(after, p) for p in after.probes] == [plan.table_identity(before, p) for p in before.probes]
    if name not in component_names(before_others):
      assert plan.identity(after_others) == plan.identity(before_others)


def component_names(cell):
  names = [cell.config[block]['name'] for block in SINGLE if block in cell.config]
  return [*names, *(entry['name'] for entry in cell.config.get('transforms', ())), *cell.config.get('interventions', {})]


def test_probes_their_schedules_and_milestones_are_no_part_of_the_identity():
  plain = cell(PLAIN)
  for changes in (
    {'probes': {'distance': {}}},
    {'probes': {'performance': {'schedule': {'stride': 2}}}},
    {'schedule': {'log_points': 3}},
    {'milestones': (1, 2)},
    {'probes': {name: {} for name in FAMILIES['probes']}},
  ):
    assert plan.identity(cell({**PLAIN, **changes})) == plan.identity(plain)
  for changes in ({'steps': 5}, {'seeds': (0,)}, {'hyper': {'lr': 0.2}}, {'own_data': True}, {'data_seed': 1}, {'layout': 'map'}):
    assert plan.identity(cell({**PLAIN, **changes})) != plan.identity(plain)


@pytest.mark.parametrize('changes', [{'leaves': False}, {'schedule': {'stride': 2}}, {'schedule': {'at': (3,)}}], ids=str)
def test_a_table_is_named_after_its_fields_and_times(changes):
  plain, other = (cell({**PLAIN, 'probes': {'distance': entry, 'norms': {}}}) for entry in ({}, changes))
  assert plan.table_identity(plain, 'distance') != plan.table_identity(other, 'distance')
  assert plan.table_identity(plain, 'norms') == plan.table_identity(other, 'norms')


HYPER = sorted({name for table in FAMILIES.values() for maker in table.values() for name in hyper_values(maker)})
BARE = {**PLAIN, 'data': {'name': 'constraints'}, 'init': {'name': 'module'}}  # reads what sgd reads, and nothing else
EVERYWHERE = ('lr', 'weight_decay')  # of every optimizer


@pytest.mark.parametrize('name', [name for name in HYPER if name not in EVERYWHERE])
def test_a_hyper_value_is_refused_where_nothing_reads_it(name):
  those = [reader.split() for reader in readers(FAMILIES, name)]
  number = value(hyper_values(FAMILIES[those[0][0]][those[0][1]])[name])
  with pytest.raises(ConfigError) as caught:
    cell({**BARE, 'hyper': {'lr': 0.1, name: number}})
  assert str(caught.value).startswith(f'hyper.{name} is read by nothing in this run; it is read by ')
  assert all(f'{block} {reader}' in str(caught.value) for block, reader in those)
  block, reader = next((block, reader) for block, reader in those if (block, reader) != ('init', 'source'))
  assert name in cell(using(block, reader)).hyper


@pytest.mark.parametrize('name', EVERYWHERE)
def test_every_optimizer_reads(name):
  assert all(name in hyper_values(maker) for maker in FAMILIES['optimizer'].values())
