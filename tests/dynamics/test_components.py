"""Components: what a maker declares, it has; every hyper value that it declares changes a number where it is used."""

import functools
import inspect
import sys
from typing import Literal, get_args, get_origin

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import network, types
from dynamics.components import NEEDS, Part, component, hyper_signature, makers, readers
from dynamics.models import linear, mlp, node_gcn
from dynamics.schema import ConfigError, Range, Traced, check, fields, hyper_values
from experiments.resolve import families

FAMILIES = families()
MAKERS = [(family, name) for family, table in FAMILIES.items() for name in table]
TRACED = [(family, name, value) for family, name in MAKERS for value in hyper_values(FAMILIES[family][name])]
SUPPLIED = {'model': ['outputs', 'vocabulary'], 'lr_schedule': ['steps']}  # positional arguments; others take none


def test_every_family_has_its_components():
  assert set(FAMILIES) == {
    'data', 'model', 'init', 'loss', 'objective', 'optimizer', 'lr_schedule', 'stopping', 'transforms', 'interventions', 'probes',
  }  # fmt: skip
  assert all(FAMILIES.values())
  assert len(MAKERS) > 80


@pytest.mark.parametrize(('family', 'name'), MAKERS)
def test_a_maker_says_what_it_reads_in_a_way_that_a_config_can_be_checked_against(family, name):
  maker = FAMILIES[family][name]
  assert inspect.getdoc(maker)
  assert set(maker.needs) <= set(NEEDS)
  assert maker.revision >= 1
  parameters = inspect.signature(maker).parameters
  positional = [n for n, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
  assert positional == SUPPLIED.get(family, [])
  for n in set(parameters) - set(positional):
    assert checkable(parameters[n].annotation), f'{n}: {parameters[n].annotation!r}'
    if parameters[n].default is not inspect.Parameter.empty:
      assert check(n, parameters[n].default, parameters[n].annotation) == parameters[n].default


def checkable(kind) -> bool:
  if get_origin(kind) is tuple:
    return len(get_args(kind)) == 2 and get_args(kind)[1] is Ellipsis and checkable(get_args(kind)[0])
  if isinstance(kind, Range):
    return kind.kind in (int, float) and (kind.kind is float or not kind.traced)
  return get_origin(kind) is Literal or kind in (bool, int, float, str)


# ---- hyper values -------------------------------------------------------------------------------------------------

REQUIRED = {  # static fields without a default, and small sizes
  'low_rank': dict(rank=1),
  'power_law': dict(exponent=0.5),
  'block': dict(blocks=2),
  'permuted_block': dict(blocks=2),
  'subspace': dict(most=6, kind='dense'),
  'images': dict(train=20, test=2),
  'scans': dict(train=20, test=2),
  'shuffled': dict(train=20, test=2),
}
SIZES = {'train': 20, 'test': 2}
rng = np.random.default_rng(1)
X, Y = rng.normal(size=(8, 4)).astype(np.float32), (np.arange(8) % 2).astype(np.int32)
DATA = types.Data(*(types.Batch(jnp.asarray(X), jnp.asarray(Y)),) * 2)
KEY = jax.random.key(0, impl='threefry2x32')


@functools.cache
def chain_of_two() -> types.Model:
  return network.from_flax(linear(2, widths=(3,)), X)


def start():
  variables = chain_of_two().init(KEY, DATA)
  moved = jax.tree.map(lambda w: 0.5 * w + 0.1, variables['params'])
  return network.begun(variables), {**network.begun(variables), 'params': moved}


def drawn(make):
  return make().draw(KEY)


class Residual(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.Dense(3)(x)
    return nn.Dense(2)(x + nn.Dense(3)(jnp.tanh(nn.Dense(5)(x))))


GRAPHS = {'nodes': jnp.asarray(X).reshape(2, 4, 4), 'adjacency': jnp.broadcast_to(1 - jnp.eye(4), (2, 4, 4))}


def initialised(make):
  init, data = make(), DATA._replace(source={'params': {'input': {'kernel': jnp.ones((4, 3))}}})
  if init.__module__ == 'dynamics.inits.graph':
    batch = types.Batch(GRAPHS, jnp.zeros((2, 4), jnp.int32))
    return network.initialised(network.from_flax(node_gcn(2, widths=(3,)), GRAPHS), init).init(KEY, types.Data(batch, batch))[
      'params'
    ]
  looks = 'model' in inspect.signature(init).parameters  # at branches, among others
  module = Residual() if looks else mlp(2, widths=(3,))
  return network.initialised(network.from_flax(module, X), init).init(KEY, data)['params']


def lost(make):
  return make()(jnp.asarray(X[:, :2]), jnp.asarray(Y))


def objective(make):
  cross_entropy = FAMILIES['loss']['cross_entropy']()
  other, now = start()
  return make()(chain_of_two(), cross_entropy, types.Source(chain_of_two(), other))(now, DATA.train, KEY)[0]


def transformed(make):
  model = make()(chain_of_two())
  init = dict(model.init(KEY, DATA))
  variables = network.begun({n: v for n, v in init.items() if n != 'frozen'}, init.get('frozen'))
  return model.apply({**variables, 'params': jax.tree.map(lambda w: w + 0.3, variables['params'])}, X)


def optimized(make):
  """The weights after three steps on a bowl of curvature 4, whose gradients differ."""
  optimizer, w = make(), {'w': jnp.asarray([1.0, -0.3])}
  state, shown = optimizer.init(w), []
  with jax.numpy_dtype_promotion('standard'):
    for slope in (1.0, -0.2, 0.5):
      updates, state = optimizer.update({'w': 4 * w['w'] + slope}, state, w, hessian=lambda params: lambda v: {'w': 4 * v['w']})
      w = optax.apply_updates(w, updates)
      shown.append(w)
  return shown


def scheduled(make):
  return jax.vmap(make(20))(jnp.arange(20, dtype=jnp.int32))


def stopped(make):
  return make()(jnp.linspace(0, 4, 33))


def intervened(make):
  first, now = start()
  now = {**now, 'params': jax.tree.map(lambda w: 8 * w, now['params'])}  # larger than what an intervention may aim at
  problem = types.Problem(None, chain_of_two(), None, None, None, None)
  view = types.View(jnp.int32(3), now, first, (), (), None, DATA, problem)
  return make().apply(view, KEY)[0]['params']


USES = {
  'data': drawn,
  'init': initialised,
  'loss': lost,
  'objective': objective,
  'transforms': transformed,
  'optimizer': optimized,
  'lr_schedule': scheduled,
  'stopping': stopped,
  'interventions': intervened,
}


def two_values(kind: Range) -> tuple[float, float]:
  valid = [v for v in (0.25, 0.5, 1.0, 2.0, 3.0) if kind.holds(v)]
  return valid[0], valid[-1]


@functools.cache
def used(family: str):
  """(name, hyper value) -> what the component gives at two of its values: one program a family, the value traced."""

  def at(name, varied, value):
    maker = FAMILIES[family][name]
    hyper = {n: value if n == varied else p.default for n, p in hyper_values(maker).items()}
    hyper = {n: 0.25 if v is inspect.Parameter.empty else v for n, v in hyper.items()}
    sizes = {n: v for n, v in SIZES.items() if n in fields(maker)} if family == 'data' else {}
    return USES[family](lambda *supplied: maker(*supplied, **{**sizes, **REQUIRED.get(name, {})}, **hyper))

  @jax.jit
  def all_of():
    return {
      (name, varied): jax.vmap(functools.partial(at, name, varied))(
        jnp.asarray(two_values(hyper_values(FAMILIES[family][name])[varied].annotation), jnp.float32)
      )
      for f, name, varied in TRACED
      if f == family
    }

  return jax.device_get(all_of())


@pytest.mark.parametrize(('family', 'name', 'varied'), TRACED)
def test_every_hyper_value_changes_a_number(family, name, varied):
  leaves = jax.tree.leaves(used(family)[name, varied])
  assert all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype != bool)
  assert any((leaf[0] != leaf[1]).any() for leaf in leaves)


# ---- the machinery ------------------------------------------------------------------------------------------------


def test_an_unknown_need_is_refused():
  with pytest.raises(ValueError, match=r"f needs \['colour'\]; there are labels"):

    @component(needs=('colour',))
    def f():
      """A component."""


def test_a_part_makes_its_component_from_its_fields_and_the_hyper_values_that_it_reads():
  def maker(steps, *, widths: tuple[int, ...] = (), lr: Traced(above=0.0), decay: Traced() = 0.5):
    return steps, widths, lr, decay

  part = Part(maker, {'widths': (3,)})
  assert part.reads == ('lr', 'decay')
  assert part.make({'lr': 1, 'decay': 2, 'of others': 3}, 10) == (10, (3,), 1, 2)


def test_one_name_of_two_parts_must_mean_the_same():
  def a(*, lr: Traced(above=0.0) = 0.1):
    """One."""

  def b(*, lr: Traced(above=0.0) = 0.1, beta: Traced() = 1.0):
    """Two."""

  def c(*, lr: Traced(least=0.0) = 0.1):
    """Three."""

  assert list(hyper_signature({'x': Part(a, {}), 'y': Part(b, {})})) == ['lr', 'beta']
  with pytest.raises(ConfigError, match=r'hyper.lr is read by x and by y, which differ in its bounds or its default'):
    hyper_signature({'x': Part(a, {}), 'y': Part(c, {})})
  assert readers({'data': {'b': b}, 'loss': {'c': c}}, 'lr') == ['data b', 'loss c']


def test_a_package_finds_its_makers_and_refuses_a_name_twice(tmp_path, monkeypatch):
  """No list names them: a file with a maker is enough. What a module imports is not its own."""
  head = 'from dynamics.components import component\n\n@component()\ndef {}():\n  """A component."""\n\n'
  package = tmp_path / 'own_family'
  package.mkdir()
  (package / '__init__.py').write_text('')
  (package / 'second.py').write_text('from own_family.first import alpha\n' + head.format('beta'))
  (package / 'first.py').write_text(head.format('alpha'))
  monkeypatch.syspath_prepend(str(tmp_path))
  assert list(makers('own_family', [str(package)])) == ['alpha', 'beta']
  (package / 'third.py').write_text(head.format('alpha'))
  with pytest.raises(ValueError, match='own_family: alpha names two components'):
    makers('own_family', [str(package)])
  for name in [name for name in sys.modules if name.startswith('own_family')]:
    del sys.modules[name]
