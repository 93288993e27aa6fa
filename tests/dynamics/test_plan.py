"""Cells and their names. The resolver here is a small one, built from the same parts as the real."""

import json
import subprocess
import sys

import pytest

from dynamics import plan
from dynamics.schema import ConfigError, Range, Traced, choose, fields, hyper_values, resolve


def disk(*, radius: Range(float, above=0.0) = 1.0, points: Range(int, least=1) = 8):
  """A model."""


def box(*, width: Range(float, above=0.0) = 1.0):
  """Another."""


def traced(*, lr: Traced(above=0.0), decay: Traced() = 0.0):
  """Hyper values."""


def settle(config, revision=1, models=None):
  models = models or {'disk': disk, 'box': box}
  model = dict(config.get('model', {'name': 'disk'}))
  make = choose('model.name', model.pop('name', 'disk'), models)
  top = {k: v for k, v in config.items() if k not in ('model', 'hyper', 'probes', 'transforms')}
  out = resolve(top, fields(settings), 'config')
  seeds = out.pop('seeds')
  out['model'] = {'name': make.__name__, **resolve(model, fields(make), 'model')}
  if 'transforms' in config:
    out['transforms'] = config['transforms']
  hyper = resolve(config.get('hyper', {}), hyper_values(traced), 'hyper')
  return plan.Cell(
    out, seeds, {k: (v,) * len(seeds) for k, v in hyper.items()}, {'model': revision}, {}, config.get('probes', {})
  )


def settings(*, steps: Range(int, least=1) = 5, seeds: tuple[int, ...] = (0,)):
  """The top."""


BASE = {'steps': 9, 'seeds': (0, 1), 'hyper': {'lr': 0.1}}


def cells(*sweep, **more):
  return plan.cells({**BASE, **more, 'sweep': sweep}, settle)


def test_a_config_without_sweep_is_one_cell():
  (cell,) = plan.cells(BASE, settle)
  assert cell.seeds == (0, 1)
  assert cell.hyper == {'lr': (0.1, 0.1), 'decay': (0.0, 0.0)}
  assert cell.config == {'steps': 9, 'model': {'name': 'disk', 'radius': 1.0, 'points': 8}}
  assert (cell.members, cell.revisions, cell.swept) == (2, {'model': 1}, {})


def test_hyper_axes_become_members_of_one_cell_in_the_order_of_their_product():
  (cell,) = cells(('hyper.lr', (1, 2)), ('hyper.decay', (0.0, 0.5)))
  assert cell.hyper['lr'] == (1.0,) * 4 + (2.0,) * 4
  assert cell.hyper['decay'] == (0.0, 0.0, 0.5, 0.5) * 2
  assert cell.seeds == (0, 1) * 4


def test_static_axes_become_cells_of_their_own():
  found = cells(('model.points', (4, 8)), ('hyper.lr', (1.0, 2.0)), ('steps', (3,)))
  assert [c.config['model']['points'] for c in found] == [4, 8]
  assert [c.swept for c in found] == [{'model.points': 4, 'steps': 3}, {'model.points': 8, 'steps': 3}]
  assert {c.members for c in found} == {4}
  assert len({plan.identity(c) for c in found}) == 2


def test_rows_move_together():
  found = cells((('hyper.lr', 'model.points'), ((1.0, 4), (2.0, 4), (3.0, 8))))
  assert [(c.config['model']['points'], c.hyper['lr']) for c in found] == [(4, (1.0, 1.0, 2.0, 2.0)), (8, (3.0, 3.0))]


def test_a_swept_name_clears_its_block_and_brings_its_own_fields():
  found = cells((('model.width', 'model.name'), ((2.0, 'box'), (3.0, 'box'))), model={'name': 'disk', 'points': 4})
  assert [c.config['model'] for c in found] == [{'name': 'box', 'width': 2.0}, {'name': 'box', 'width': 3.0}]


@pytest.mark.parametrize(
  ('sweep', 'sentence'),
  [
    ({'hyper.lr': (1, 2)}, 'sweep is .*; a sweep is a tuple of pairs such as'),
    ('hyper.lr', 'sweep is .*; a sweep is a tuple of pairs'),
    (('hyper.lr', (1, 2)), 'a sweep is a tuple of pairs'),
    ((('hyper.lr', 3),), 'a sweep is a tuple of pairs'),
    ((('hyper.lr', ()),), 'a sweep is a tuple of pairs'),
    (((3, (1, 2)),), 'a sweep is a tuple of pairs'),
    ((((1, 2), ((1, 2),)),), 'a sweep is a tuple of pairs'),
    ((('hyper.points', (1, 2)),), 'hyper.points, but points is static, not a traced value: sweep model.points'),
    ((('model.lr', (1, 2)),), 'model.lr, but lr is a traced value, not a static one: sweep hyper.lr'),
    ((('lr', (1, 2)),), 'lr is a traced value, not a static one: sweep hyper.lr'),
    (((('hyper.lr', 'steps'), ((1.0, 2), (1.0,))),), r'row \(1.0,\); it must have 2 values'),
    (((('hyper.lr', 'steps'), (1.0, 2.0)),), 'row 1.0; it must have 2 values'),
    ((('seeds', ((0,), (1,))),), r'seeds, which need no sweep: set seeds = \(0, 1, 2\)'),
    ((('stepz', (1, 2)),), "config.stepz is no field of config; did you mean 'steps'"),
    ((('hyper.lrr', (1, 2)),), "hyper.lrr is no field of hyper; did you mean 'lr'"),
    ((('model.pointz', (1, 2)),), "model.pointz is no field of model; did you mean 'points'"),
    ((('nothing.lrr', (1, 2)),), 'sweep: nothing.lrr is no field'),
    ((('hyper.lr', (0.1, 0.1)),), 'sweep over hyper.lr has 0.1 twice: each setting only once'),
    ((('hyper.lr', (1, 2)), ('hyper.lr', (3, 4))), 'sweep names hyper.lr twice: give all of its values in one pair'),
  ],
)
def test_every_wrong_sweep_has_its_sentence(sweep, sentence):
  with pytest.raises(ConfigError, match=sentence):
    plan.cells({**BASE, 'sweep': sweep}, settle)


# ---- identity ---------------------------------------------------------------------------------------------------

DIGEST = '1f332ec6f3ac8cdf'


def one(**more):
  return plan.cells({**BASE, **more}, settle)[0]


def test_identity_is_the_same_in_every_process():
  code = (
    'from dynamics.plan import Cell, identity\n'
    "cell = Cell({'steps': 9, 'model': {'name': 'disk', 'radius': 1.0}}, (0, 1), {'lr': (0.1, 0.3)}, {'train': 1}, {})\n"
    'print(identity(cell))'
  )
  seen = {subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout for _ in range(2)}
  assert seen == {f'{DIGEST}\n'}, (
    'the name of a run has changed: every stored run would be made again under a new name. If that is meant, '
    f'say so in the commit and set DIGEST to {seen}'
  )


@pytest.mark.parametrize(
  'change',
  [
    {'steps': 8},
    {'seeds': (0, 2)},
    {'seeds': (1, 0)},
    {'hyper': {'lr': 0.1 + 1e-16}},
    {'hyper': {'lr': 0.1, 'decay': 1e-9}},
    {'model': {'points': 9}},
    {'model': {'name': 'box'}},
  ],
)
def test_identity_changes_with_every_field(change):
  assert plan.identity(one(**change)) != plan.identity(one())


def test_identity_holds_defaults_and_the_revision():
  """Writing a default down changes nothing; another default is another run."""
  assert plan.identity(one(model={'name': 'disk', 'radius': 1.0, 'points': 8})) == plan.identity(one())

  def disk(*, radius: float = 1.5, points: int = 8):
    """The same model with another default."""

  other = lambda config: settle(config, models={'disk': disk})
  later = lambda config: settle(config, revision=2)
  names = {plan.identity(plan.cells(BASE, resolver)[0]) for resolver in (settle, other, later)}
  assert len(names) == 3


def test_identity_does_not_depend_on_order_or_on_how_a_cell_was_swept():
  a = one(model={'radius': 2.0, 'points': 3, 'name': 'disk'})
  (b,) = cells(('model.points', (3,)), model={'name': 'disk', 'radius': 2})
  assert plan.identity(a) == plan.identity(b)
  assert a.swept != b.swept
  backwards = a._replace(config=dict(reversed(a.config.items())), hyper=dict(reversed(a.hyper.items())))
  assert plan.identity(backwards) == plan.identity(a)
  stored = json.loads(plan.canonical(a))
  assert plan.identity(plan.Cell(**stored, swept={})) == plan.identity(a)


def test_probes_and_milestones_are_no_part_of_a_run_and_a_probe_is_all_of_its_table():
  plain, read = one(), one(probes={'norms': {'leaves': True, 'schedule': {'stride': 2}, 'revision': 1}})
  assert plan.identity(read) == plan.identity(plain) == plan.identity(plain._replace(milestones=(3,)))
  tables = [read, *(one(probes={'norms': {**read.probes['norms'], **change}}) for change in CHANGES)]
  names = [plan.table_identity(cell, 'norms') for cell in tables]
  assert len(set(names)) == 4
  assert all(name.startswith('norms-') for name in names)


CHANGES = ({'leaves': False}, {'schedule': {'stride': 3}}, {'revision': 2})


def test_a_source_is_part_of_a_run_by_its_own_identity():
  sourced = lambda cell, **more: one()._replace(source=plan.SourceRun(**{'cell': cell, 'members': (0, 1), 'at': 5, **more}))
  cells = [one(), *(sourced(one(steps=steps), take=take) for steps in (5, 6) for take in ('variables', 'state'))]
  assert len({plan.identity(cell) for cell in cells}) == 5
  assert plan.identity(sourced(one(), take='state', at=4)) != plan.identity(sourced(one(), take='state'))


# ---- fields by path ---------------------------------------------------------------------------------------------


def test_assign_sets_one_field_of_a_copy():
  before = {'model': {'name': 'disk', 'points': 4}, 'steps': 1}
  assert plan.assign(before, 'steps', 2) == {'model': {'name': 'disk', 'points': 4}, 'steps': 2}
  assert plan.assign(before, 'model.points', 5)['model'] == {'name': 'disk', 'points': 5}
  assert plan.assign(before, 'probes.norms.on', False)['probes'] == {'norms': {'on': False}}
  assert before == {'model': {'name': 'disk', 'points': 4}, 'steps': 1}


def test_renaming_a_block_clears_it_and_naming_it_again_does_not():
  before = {'model': {'name': 'disk', 'points': 4}}
  assert plan.assign(before, 'model.name', 'box')['model'] == {'name': 'box'}
  assert plan.assign(before, 'model.name', 'disk') == before
  assert plan.assign({'model': {'points': 4}}, 'model.name', 'disk')['model'] == {'points': 4, 'name': 'disk'}


def test_a_field_of_a_single_value_cannot_be_set():
  with pytest.raises(ConfigError, match=r'steps.x cannot be set: steps is a single value, 3'):
    plan.assign({'steps': 3}, 'steps.x', 1)


def test_flat():
  assert plan.flat({'a': {'b': {'c': 1}, 'd': (1, 2)}, 'e': 3}) == {'a.b.c': 1, 'a.d': (1, 2), 'e': 3}


BLOCKS = {
  'transforms': ({'name': 'ntk'}, {'name': 'subspace', 'most': 4}),
  'sweep': (('hyper.lr', (1, 2)),),
  'hyper': {'decay': 0.5},
}


def test_one_of_several_blocks_is_addressed_by_its_name():
  assert plan.flat(BLOCKS)['transforms.subspace.most'] == 4
  assert plan.assign(BLOCKS, 'transforms.subspace.most', 5)['transforms'] == ({'name': 'ntk'}, {'name': 'subspace', 'most': 5})
  with pytest.raises(ConfigError, match=r"transforms.sub.most is no field; did you mean 'subspace'"):
    plan.assign(BLOCKS, 'transforms.sub.most', 5)


def test_an_override_merges_blocks_and_is_never_lost():
  assert plan.override(BLOCKS, 'hyper', {'beta': 0.1})['hyper'] == {'decay': 0.5, 'beta': 0.1}
  for path, value in (('hyper.lr', 3.0), ('hyper', {'lr': 3.0})):
    with pytest.raises(ConfigError, match=r"hyper.*the config's sweep sets hyper.lr"):
      plan.override(BLOCKS, path, value)
