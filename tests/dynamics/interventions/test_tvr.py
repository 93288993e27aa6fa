"""Rescaled matrices against numpy, of one target and of one a block, and in a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import interventions, models, network, train, trees
from dynamics.types import Batch, Data, Problem, View

rng = np.random.default_rng(1)
X = jnp.ones((2, 4))
DATA = Data(*(Batch(X, jnp.zeros(2, jnp.int32)) for _ in range(2)))
MODULES = {
  'residual': models.residual(3, depth=2, width=5, norm='layer'),
  'stacked': models.residual(3, depth=2, width=5, stacked=True),
  'mlp': models.mlp(3, widths=(5,)),
}


def rescaled(module, params, target=0.1, **fields):
  """(before, after) by path."""
  model = network.from_flax(MODULES[module], X)
  variables = {'params': params}
  view = View(jnp.int32(50), variables, variables, (), (), None, DATA, Problem(None, model, None, None, None, None))
  after, opt_state = interventions.tvr(target_std=target, **fields).apply(view, jax.random.key(0))
  assert opt_state == ()
  return after['params']


def drawn(module, dtype=np.float32):
  """Every matrix with a mean and a spread of its own, from well below the target to well above."""
  shapes = jax.eval_shape(MODULES[module].init, jax.random.key(0), X)['params']
  draw = lambda s: jnp.asarray(rng.normal(0.3, rng.choice([0.05, 0.11, 0.4]), s.shape), dtype)
  return jax.tree.map(draw, shapes)


@pytest.mark.parametrize(('module', 'dtype'), [('residual', 'float32'), ('stacked', 'float32'), ('mlp', 'bfloat16')])
def test_matrices_that_outgrew_their_target_have_it_and_all_else_stays(module, dtype):
  """For two targets under vmap; of stacked blocks each is a matrix."""
  params = drawn(module, dtype)
  after = jax.jit(jax.vmap(lambda target: rescaled(module, params, target)))(jnp.asarray([0.1, 0.03]))
  before, limit = trees.by_path(params), {'float32': 1e-5, 'bfloat16': 1e-2}[dtype]
  for path, values in trees.by_path(after).items():
    w = np.asarray(before[path], np.float64)
    for target, value in zip((0.1, 0.03), values, strict=True):
      if not path.endswith('kernel'):
        np.testing.assert_array_equal(value, before[path])
        continue
      mean, std = (f(w, axis=(-2, -1), keepdims=True) for f in (np.mean, np.std))
      expected = np.where(std > 1.2 * target, mean + (w - mean) * target / std, w)
      np.testing.assert_allclose(np.asarray(value, np.float64), expected, rtol=limit, atol=limit)


def test_blocks_have_targets_of_their_own():
  params = jax.tree.map(lambda w: 10 * w, drawn('residual'))
  spread = {path: float(jnp.std(w)) for path, w in trees.by_path(rescaled('residual', params, branches_per_block=1)).items()}
  wanted = {'input': 0.1, 'block_0/layer_0': 0.1, 'block_1/layer_0': 0.1 / 2**0.5, 'readout': 0.1}
  np.testing.assert_allclose([spread[f'{path}/kernel'] for path in wanted], list(wanted.values()), rtol=1e-5)
  with pytest.raises(ValueError, match='holds the weights of several blocks in one array'):
    rescaled('stacked', drawn('stacked'), branches_per_block=1)


def test_a_model_without_matrices_is_refused():
  model = network.from_flax(models.mlp(3, widths=(5,)), X)
  bare = model._replace(leaves=lambda: {'bias': model.leaves()['input']['bias']})
  view = View(jnp.int32(0), {'params': {'bias': jnp.ones(5)}}, {}, (), (), None, DATA, Problem(None, bare, *[None] * 4))
  with pytest.raises(ValueError, match='tvr needs weights with two axes or more'):
    interventions.tvr().apply(view, jax.random.key(0))


def test_a_run_holds_its_matrices_at_the_times_of_the_schedule_alone(cases):
  """Until step 2 the same bits as plain training; at step 2 on target; not from then on."""
  small = cases.case('linear')
  read = {'params': lambda view: view.variables['params']}
  make = lambda hyper: interventions.tvr(target_std=hyper['target_std'])
  study = cases.study_of(small.model, small.draws, small.loss, 4, read, range(5), interventions={'tvr': (make, (2,))})
  run = lambda study: train.run(study, (0, 1), {'lr': 0.05, 'target_std': 0.01}).arrays['params']
  plain, tables = (
    np.asarray(next(v for name, v in run(s).items() if name.endswith('kernel')).values).swapaxes(0, 1)
    for s in (study._replace(interventions={}), study)
  )
  np.testing.assert_array_equal(tables[:2], plain[:2])
  np.testing.assert_allclose(tables[2].std(axis=(-2, -1)), 0.01, rtol=1e-4)
  np.testing.assert_allclose(tables[2].mean(axis=(-2, -1)), plain[2].mean(axis=(-2, -1)), atol=1e-5)
  assert not np.isclose(tables[3:].std(axis=(-2, -1)), 0.01, rtol=1e-2).any()
