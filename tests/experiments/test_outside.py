"""Components from outside of the project, named 'module:name'; configs with an argument; digests of sources and of data files."""

import numpy as np
import pytest

from dynamics import plan
from dynamics.schema import ConfigError, fields, hyper_values
from experiments import config as configs
from experiments import outside
from experiments.check import check_cell

NETS = """
from __future__ import annotations
from collections.abc import Callable, Sequence
import equinox, jax, jax.numpy as jnp, flax.linen as nn, numpy as np
from flax import nnx
from dynamics import types
from dynamics.schema import Traced

class Net(nn.Module):
  outputs: int
  widths: Sequence[int] = (6,)
  activation: Callable = nn.tanh
  rate: float | None = None

  @nn.compact
  def __call__(self, x, train=False):
    for width in self.widths:
      x = self.activation(nn.Dense(width)(x))
    x = nn.Dropout(self.rate, deterministic=not train)(x) if self.rate else x
    return nn.Dense(self.outputs)(x)

class Nnx(nnx.Module):
  def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
    self.layer = nnx.Linear(inputs, outputs, rngs=rngs)

  def __call__(self, x):
    return self.layer(x)

class Eqx(equinox.Module):
  layer: equinox.nn.Linear

  def __init__(self, inputs: int, outputs: int, *, key):
    self.layer = equinox.nn.Linear(inputs, outputs, key=key)

  def __call__(self, x):
    return self.layer(x)

class NeedsFunction(nn.Module):
  activation: Callable

def pair(outputs, *, scale: float = 1.0):
  return lambda key: {'w': scale * jax.random.normal(key, (4, outputs))}, lambda params, x: x @ params['w']

def absolute(outputs, targets, power: float = 1.0):
  return jnp.mean(jnp.abs(outputs - jax.nn.one_hot(targets, outputs.shape[-1])) ** power, axis=-1)

def blobs(n: int = 24, gap: float = 2.0):
  y = np.arange(n) % 3
  return np.random.default_rng(0).normal(size=(n, 4)) + gap * y[:, None], y

def times(*, by: Traced() = 1.0):
  def transform(model):
    def forward(variables, x, **options):
      outputs, trace = model.forward(variables, x, **options)
      return jnp.asarray(by, outputs.dtype) * outputs, trace
    return model._replace(forward=forward)
  return transform

def largest(*, factor: float = 1.0):
  leaves = lambda view: jax.tree.leaves(view.variables['params'])
  return types.stateless(lambda view, key: {'largest': factor * jnp.max(jnp.stack([jnp.max(leaf) for leaf in leaves(view)]))})

def halved():
  half = lambda view, key: ({**view.variables, 'params': jax.tree.map(lambda p: p / 2, view.variables['params'])}, view.opt_state)
  return types.Intervention(half)

def wrong():
  return {'largest': 3}

def by_position(x, /):
  return x

number = 3
"""

CONFIG = """
import ml_collections

def get_config(size='small'):
  return ml_collections.ConfigDict(dict(
    data=dict(name='OUT:blobs'), model=dict(name='OUT:Net'), loss=dict(name='cross_entropy'), optimizer=dict(name='sgd'),
    hyper=dict(lr=0.1), steps={'small': 4, 'large': 8}[size], probes=dict(performance=dict()), schedule=dict(log_points=1),
  ))
"""

LABELS = """
import jax.numpy as jnp
from dynamics import types

def wrong():
  half = types.Batch(jnp.zeros((8, 4)), jnp.arange(8))
  return types.Task(lambda key: types.Data(half, half), outputs=3)
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
  """Writes the user's module and config; words -> cells."""
  monkeypatch.syspath_prepend(tmp_path)
  name = f'nets_{abs(hash(tmp_path))}'  # each test imports a module of its own
  (tmp_path / f'{name}.py').write_text(NETS)
  (tmp_path / 'mine.py').write_text(CONFIG.replace('OUT', name))
  read = lambda *words, file='mine.py': configs.read([f'--config={tmp_path / file}', *(w.replace('OUT', name) for w in words)])[0]
  read.module = tmp_path / f'{name}.py'
  return read


TRAINS = [  # words
  ['--config.model.widths=(5,3)', '--config.model.rate=0.5'],
  ['--config.model.name=OUT:Nnx', '--config.model.inputs=4', '--config.init.name=module'],
  ['--config.model.name=OUT:Eqx', '--config.model.inputs=4'],
  ['--config.model.name=OUT:pair', '--config.model.scale=0.5', '--config.init.name=module'],
  ['--config.loss.name=OUT:absolute', '--config.loss.power=2'],
  ['--config.loss.name=optax.losses:softmax_cross_entropy_with_integer_labels'],
  ['--config.data.n=9'],
  ["--config.transforms=({'name':'OUT:times'},)", "--config.sweep=(('hyper.by', (0.5, 2.0)),)"],
  ["--config.probes={'mine': {'name': 'OUT:largest', 'factor': 2.0}, 'again': {'name': 'performance'}}"],
  ["--config.interventions={'half': {'name': 'OUT:halved', 'schedule': {'at': (2,)}}}"],
  ['--config.optimizer.name=optax:adamw', "--config.sweep=(('hyper.b1', (0.5, 0.9)), ('hyper.weight_decay', (0.0, 0.1)))"],
  ['--config.optimizer.name=optax:sgd', '--config.hyper.momentum=0.9', '--config.optimizer.nesterov=True'],
  ['--config.optimizer.name=optax:lbfgs', '--config.hyper.lr=1.0', '--config.optimizer.memory_size=3'],
]


@pytest.mark.parametrize('words', TRAINS, ids=lambda words: words[0][9:40])
def test_components_from_outside_fit_in_everywhere(cells, words):
  (cell,) = cells(*words)
  _, shapes = check_cell(cell)  # traces data, start, steps, probes and interventions
  assert shapes.state.variables['params']


REFUSED = [  # words, words of the sentence
  ('model.name=OUT:Nett', ["has no 'Nett'", "did you mean 'Net'", 'there are: Net, Nnx']),
  ('model.name=nowhere.nets:Net', ['nowhere.nets:Net does not import', 'ModuleNotFoundError']),
  ('model.name=OUT:number', ['is an int; it must be a class or a function']),
  ('model.name=OUT:NeedsFunction', ['needs activation as Callable, which no config can write', 'wrap it in a function']),
  ('loss.name=OUT:by_position', ['takes 1 positional argument']),
  ('model.activation=relu', ['model.activation cannot be set in a config, which does not write a Callable']),
  ('model.widths=5', ['model.widths is 5', 'a tuple']),
  ('model.rate=high', ["model.rate is 'high'", 'a number']),
  ('model.wdths=(5,)', ['model.wdths is no field', "did you mean 'widths'"]),
  ('probes.mine.name=OUT:wrong', ['gives a dict', 'for probes it must give a Probe']),
  ("probes={'OUT:largest': {}}", ['it must be a word', 'probes=dict(mine=dict(name=']),
  ('optimizer.name=math:sqrt', ['needs x only by position', 'wrap it in a function']),
  ('data.name=OUT:wrong', ['gives a dict', 'for data it must give a Task']),
  ('optimizer.b1=0.9', ['optimizer.b1 is no field']),
  ('hyper.momentum=0.9', ['hyper.momentum is no field of hyper']),
]


@pytest.mark.parametrize(('change', 'words'), REFUSED, ids=lambda v: v if isinstance(v, str) else '')
def test_what_does_not_fit_is_told(cells, change, words):
  with pytest.raises(ConfigError) as caught:
    check_cell(cells(f'--config.{change}')[0])
  for word in words:
    assert word in str(caught.value)
  assert str(caught.value).count('\n') == 0


@pytest.mark.parametrize(
  ('name', 'traced', 'static'),
  [
    ('adam', {'lr', 'b1', 'b2', 'eps', 'eps_root'}, {'nesterov', 'normalised'}),
    ('adafactor', {'decay_rate', 'eps'}, {'min_dim_size_to_factor', 'factored'}),
    ('lbfgs', {'lr'}, {'memory_size', 'scale_init_precond'}),
  ],
)
def test_numbers_of_an_optax_factory_are_traced_where_they_can_be(name, traced, static):
  maker = outside.maker('optimizer', f'optax:{name}')
  assert traced <= set(hyper_values(maker))
  assert static <= set(fields(maker))


def test_the_source_of_a_component_is_part_of_the_identity(cells, tmp_path, monkeypatch):
  (before,) = cells()
  outside.maker.cache_clear()
  cells.module.write_text(cells.module.read_text() + '\n# another line\n')
  (after,) = cells()
  assert plan.identity(before) != plan.identity(after)
  assert before.config == after.config
  (probed,) = cells("--config.probes={'mine': {'name': 'OUT:largest'}}")
  assert plan.identity(probed) == plan.identity(after)
  assert isinstance(probed.probes['mine']['revision'], str)


@pytest.mark.parametrize(
  ('file', 'outcome'),
  [('mine.py:large', 8), ('mine.py', 4), ('mine.py:huge', "KeyError: 'huge'"), ('plain.py:x', 'get_config() takes no argument'),
   ('named.py', 'takes an argument: name it behind a colon')],
)  # fmt: skip
def test_a_config_may_take_an_argument(cells, tmp_path, file, outcome):
  for name, arguments in (('plain', ''), ('named', 'size')):
    (tmp_path / f'{name}.py').write_text((tmp_path / 'mine.py').read_text().replace("size='small'", arguments))
  if isinstance(outcome, int):
    assert cells(file=file)[0].config['steps'] == outcome
    return
  with pytest.raises(ConfigError) as caught:
    cells(file=file)
  assert outcome in str(caught.value)


def test_other_data_under_the_same_name_is_another_run(cells, tmp_path):
  words = ['--config.data.name=arrays', f'--config.data.file={tmp_path / "a.npz"}']
  with pytest.raises(ConfigError, match=r'a.npz cannot be read: No such file'):
    cells(*words)
  identities = []
  for x in (np.zeros((8, 4)), np.ones((8, 4)), np.zeros((8, 4))):
    np.savez(tmp_path / 'a.npz', x=x, y=np.arange(8) % 2)
    identities.append(plan.identity(cells(*words)[0]))
  assert identities[0] == identities[2] != identities[1]


def test_data_of_ones_own_are_looked_at_before_anything_is_written(cells, tmp_path, go):
  words = [f'--config={tmp_path / "mine.py"}', '--config.data.name=arrays', f'--config.data.file={tmp_path / "a.npz"}']
  np.savez(tmp_path / 'a.npz', x=np.zeros((8, 4)), y=np.arange(8) % 4)
  (cell,) = configs.read([*words, '--config.data.test=0.5'])[0]
  check_cell(cell)
  (tmp_path / 'labels.py').write_text(LABELS)
  said = go(words[0], '--config.data.name=labels:wrong', status=2)
  assert 'labels of targets go from 0 to 7, but with outputs (n, 3) they must be 0 to 2' in said.err
  assert not (tmp_path / 'out').exists()


def test_a_run_with_parts_from_outside_is_trained_stored_and_found_again(cells, tmp_path, go):
  words = ['--config.probes.mine.name=OUT:largest', '--config.probes.mine.factor=2.0']
  module = cells.module.stem
  said = go(*(w.replace('OUT', module) for w in words), config=f'--config={tmp_path / "mine.py"}')
  assert 'done in' in said.out
  assert 'done before' in go(*(w.replace('OUT', module) for w in words), config=f'--config={tmp_path / "mine.py"}').out
