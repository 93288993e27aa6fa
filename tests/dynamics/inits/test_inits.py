"""Laws under rules: moments, names, roles, and what a parametrisation must and must not change."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from dynamics.inits.laws import gaussian, orthogonal, truncated, uniform
from dynamics.problem import supervised

from dynamics import inits, losses, models, optim, train
from dynamics.inits import ABC, describe
from dynamics.study import Study
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
LAWS = (gaussian, truncated, uniform, orthogonal)
RULES = (inits.standard, inits.ntk, inits.mean_field, inits.mup)
SHAPES = {
  'input': {'kernel': jnp.zeros((50, 160)), 'bias': jnp.zeros(160)},
  'norm': {'scale': jnp.zeros(160)},
  'readout': {'kernel': jnp.zeros((160, 40))},
}
STD = {  # of input/kernel and readout/kernel, by the papers' tables
  'standard': (50**-0.5, 160**-0.5),
  'ntk': (1.0, 1.0),
  'mean_field': (1.0, 1.0),
  'mup': (50**-0.5, 64**-0.5),
}


@pytest.mark.parametrize('rule', RULES, ids=lambda r: r.__name__)
@pytest.mark.parametrize('law', LAWS, ids=lambda r: r.__name__)
def test_every_law_has_the_moments_of_every_rule(law, rule):
  params = inits.independent(law, rule)(KEY, describe(SHAPES), {})
  for name, std in zip(('input', 'readout'), STD[rule.__name__], strict=True):
    w = np.asarray(params[name]['kernel'], np.float64) / std
    assert abs(w.mean()) < 5 / w.size**0.5
    assert abs((w**2).mean() - 1) < (1e-5 if law is orthogonal else 5 * (2 / w.size) ** 0.5)
  assert (params['input']['bias'] == 0).all()
  assert (params['norm']['scale'] == 1).all()
  assert (np.abs(params['input']['kernel']) / STD[rule.__name__][0]).max() < {truncated: 2.28, uniform: 1.7321}.get(law, np.inf)
  halved = inits.independent(law, rule)(KEY, describe(SHAPES), {'init_scale': jnp.float32(0.5)})
  np.testing.assert_array_equal(2 * halved['input']['kernel'], params['input']['kernel'])
  assert (halved['norm']['scale'] == 1).all()


@pytest.mark.parametrize(('rows', 'columns'), [(12, 12), (12, 30), (30, 12), (1, 7)])
def test_orthogonal_is_orthogonal(rows, columns):
  leaf = describe({'a': {'kernel': jnp.zeros((rows, columns))}})['a']['kernel']
  w = np.asarray(orthogonal(KEY, leaf), np.float64) / max(rows, columns) ** 0.5
  gram = w @ w.T if rows < columns else w.T @ w
  np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=1e-5)
  if rows == columns:
    w = inits.independent(orthogonal)(KEY, describe({'a': {'kernel': jnp.zeros((rows, rows))}}), {})['a']['kernel']
    np.testing.assert_allclose(w @ w.T, np.eye(rows), atol=1e-5)


def test_an_embedding_is_orthogonal_as_the_matrix_it_is():
  leaf = describe({'embedding': jnp.zeros((20, 6))})['embedding']
  w = np.asarray(orthogonal(KEY, leaf)) / 20**0.5
  np.testing.assert_allclose(w.T @ w, np.eye(6), atol=1e-5)


def test_draws_depend_on_the_name_and_not_on_what_else_there_is():
  init = inits.independent(gaussian)
  more = {'a_first': {'kernel': jnp.zeros((3, 3))}, **SHAPES}
  a, b = init(KEY, describe(SHAPES), {}), init(KEY, describe(more), {})
  np.testing.assert_array_equal(a['input']['kernel'], b['input']['kernel'])
  same_shape = init(KEY, describe({'a': jnp.zeros((3, 3)), 'b': jnp.zeros((3, 3))}), {})
  assert not np.allclose(same_shape['a'], same_shape['b'])


# ---- leaves -----------------------------------------------------------------------------------------------------


def leaves_of(module, x):
  tree = describe(jax.eval_shape(module.init, KEY, x)['params'])
  return {leaf.name: leaf for leaf in jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, inits.Leaf))}


class Numbered(nn.Module):
  @nn.compact
  def __call__(self, x):
    for _ in range(12):
      x = nn.Dense(3)(x)
    return x


@pytest.mark.parametrize(
  ('module', 'first', 'last'),
  [
    (models.mlp(widths=(4, 5), outputs=3), 'input', 'readout'),
    (models.mlp(widths=(4,) * 12, outputs=3), 'input', 'readout'),
    (Numbered(), 'Dense_0', 'Dense_11'),
  ],
)
def test_dense_layers_are_ordered_by_number(module, first, last):
  leaves = leaves_of(module, jnp.zeros((1, 2)))
  kernels = {name.split('/')[0]: leaf for name, leaf in leaves.items() if name.endswith('kernel')}
  assert {n: leaf.role for n, leaf in kernels.items()} == {n: 'hidden' for n in kernels} | {first: 'input', last: 'output'}
  assert (kernels[first].fan_in, kernels[last].fan_out) == (2, 3)
  assert all(leaf.role == 'bias' and leaf.fan_in == 1 for name, leaf in leaves.items() if name.endswith('bias'))


def test_roles_and_fans_of_a_transformer():
  """Embeddings read one row a token: fan_in 1, and they are inputs wherever they stand."""
  leaves = leaves_of(
    models.transformer(layers=2, width=8, heads=2, norm='pre', outputs=5, vocabulary=7), jnp.zeros((1, 3), jnp.int32)
  )
  inputs = {name: leaf for name, leaf in leaves.items() if leaf.role == 'input'}
  assert sorted(inputs) == ['input/embedding', 'position_embedding']
  assert {(leaf.fan_in, leaf.fan_out) for leaf in inputs.values()} == {(1, 8)}
  assert [name for name, leaf in leaves.items() if leaf.role == 'output'] == ['readout/kernel']
  assert leaves['readout/kernel'].fan_in == 8
  assert leaves['hidden_1_down/kernel'][3:] == (32, 8, 'hidden')
  assert {leaf.role for name, leaf in leaves.items() if 'norm' in name} == {'scale', 'bias'}


def test_convolutions_have_the_fan_in_of_their_patch():
  assert describe({'Conv_0': {'kernel': jnp.zeros((3, 3, 8, 16))}})['Conv_0']['kernel'][3:5] == (72, 16)


@pytest.mark.parametrize(
  ('roles', 'sentence'), [({'x/*': 'hidden'}, 'no parameter matches'), ({'input/*': 'middle'}, 'is none of input, hidden')]
)
def test_roles_that_fit_nothing_are_errors(roles, sentence):
  with pytest.raises(ValueError, match=sentence):
    describe(SHAPES, roles)


def test_roles_can_be_stated():
  stated = describe({'enc': jnp.zeros((2, 3)), 'dec': jnp.zeros((3, 2))}, {'enc': 'input', 'dec': 'output'})
  assert (stated['enc'].role, stated['dec'].role) == ('input', 'output')


def test_mean_field_refuses_a_second_hidden_layer():
  with pytest.raises(ValueError, match='one hidden layer'):
    inits.independent(gaussian, inits.mean_field)(KEY, describe({f'l{i}': {'kernel': jnp.zeros((2, 2))} for i in range(3)}), {})


# ---- the abc symmetry -------------------------------------------------------------------------------------------

SHIFT = {'input': 1.7, 'hidden': 0.3, 'output': 2.5, 'bias': 0.6, 'scale': 1.0}


def shifted(rule):
  """theta -> (a s, b / s, c / s^2), or c / s where the optimiser normalises; another s for every role."""

  def other(leaf, normalised):
    (a, b, c), s = rule(leaf, normalised), SHIFT[leaf.role]
    return ABC(a * s, b / s, c / s if normalised else c / s**2)

  return other


@pytest.mark.parametrize(
  ('family', 'rule'),
  [('sgd', inits.standard), ('sgd', inits.mup), ('momentum', inits.ntk), ('adam', inits.standard), ('adam', inits.mup)],
)
def test_abc_symmetry_leaves_every_trajectory_of_the_function_as_it_is(cases, family, rule):
  """2011.14522, section 3. Biases start at 0, so they take part as well. adam is exactly symmetric at eps = 0 alone."""
  case, module = cases.case('floats'), models.mlp(widths=(6, 5), activation='tanh', outputs=2)
  hyper = {'lr': 0.02 if family == 'adam' else 0.1, **({'eps': 0.0} if family == 'adam' else {})}
  seen = []
  for r in (rule, shifted(rule)):
    shape = jax.ShapeDtypeStruct(case.draws.train.x.shape, jnp.float32)
    problem = supervised(module, shape, case.loss, init=inits.independent(uniform, r), rule=r)
    optimizer = optim.optimizer(getattr(optim, family), rule=r)
    seen.append(outputs_of(problem, optimizer, case.draws, hyper, steps=5))
  assert np.abs(seen[0][0, -1] - seen[0][0, 0]).max() > 0.05, 'nothing moved, so the test says nothing'
  np.testing.assert_allclose(seen[1], seen[0], atol=3e-5)


def outputs_of(problem, optimizer, data, hyper, steps, seeds=1):
  """Outputs on the test inputs after 0..steps full-batch steps: (m, t, n, k)."""
  hyper = {name: jnp.float32(v) for name, v in hyper.items()}
  chain = optimizer(hyper)

  @jax.jit
  @jax.vmap
  def trajectory(key):
    variables = problem.init(key, hyper)

    def step(carry, _):
      params, opt_state = carry
      shown = problem.apply({'params': params}, data.test.x)
      grads = jax.grad(lambda p: problem.loss({'params': p}, data.train, hyper)[0])(params)
      with jax.numpy_dtype_promotion('standard'):
        updates, opt_state = chain.update(grads, opt_state, params)
      return (optax.apply_updates(params, updates), opt_state), shown

    return jax.lax.scan(step, (variables['params'], chain.init(variables['params'])), None, length=steps + 1)[1]

  return np.asarray(trajectory(jax.random.split(KEY, seeds)))


# ---- width ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('family', ['sgd', 'adam'])
def test_under_mup_the_first_step_changes_the_outputs_by_as_much_at_every_width(family):
  """The coordinate check of 2203.03466, as a test; `standard` is the control, in which the change grows with width."""
  x = jax.random.normal(jax.random.key(1), (16, 8))
  data = Data(*(Batch(x, 5 * jnp.sin(x[:, :1])),) * 2)
  grows = {}
  for rule in (inits.mup, inits.standard):
    moved = []
    for width in (64, 256, 512) if rule is inits.mup else (64, 512):
      module, shape = models.mlp(widths=(width, width), bias=False, outputs=1), jax.ShapeDtypeStruct((1, 8), jnp.float32)
      problem = supervised(module, shape, losses.mean_squared_error(), init=inits.independent(uniform, rule), rule=rule)
      optimizer = optim.optimizer(getattr(optim, family), rule=rule)
      lr = {'sgd': 0.01, 'adam': 0.001}[family]
      shown = outputs_of(problem, optimizer, data, {'lr': lr}, steps=1, seeds=8)
      moved.append(np.sqrt(np.mean((shown[:, 1] - shown[:, 0]) ** 2)))
    grows[rule.__name__] = moved
  assert max(grows['mup']) < 1.5 * min(grows['mup']), grows
  assert grows['standard'][-1] > 2.5 * grows['standard'][0], grows


def test_the_library_and_the_loop_agree_on_the_rule(cases):
  """`train.run` with a rule is the plain loop of this file."""
  case, rule = cases.case('floats'), inits.ntk
  module = models.mlp(widths=(6,), activation='tanh', outputs=2)
  shape = jax.ShapeDtypeStruct(case.draws.train.x.shape, jnp.float32)
  problem = supervised(module, shape, case.loss, init=inits.independent(uniform, rule), rule=rule)
  optimizer = optim.optimizer(optim.sgd, rule=rule)
  study = Study(problem, optimizer, lambda key, hyper: case.draws, {}, {}, 3)
  state = train.run(study, (0,), {'lr': 0.3}).state
  variables = jax.tree.map(lambda v: v[0], state.variables)
  first = jax.tree.map(lambda v: v[0], state.anchor)
  grads = jax.grad(lambda p: problem.loss({'params': p}, case.draws.train, {})[0])
  params = first['params']
  for _ in range(3):
    params = jax.tree.map(lambda w, g: w - 0.3 * g, params, grads(params))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), variables['params'], params)
