"""Rebalanced factors keep their product and have the imbalance that was asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import interventions, models, network, train
from dynamics.types import Problem, View

rng = np.random.default_rng(1)


def rebalanced(params, beta):
  """The factors (i, h) and (h, j) after the intervention."""
  rows, columns = params['left'].shape[0], params['right'].shape[1]
  x = jnp.zeros((1, rows, columns), params['left'].dtype)
  model = network.from_flax(models.factorisation(1, width=params['left'].shape[1], symmetric=False), x)
  problem = Problem(None, model, None, None, None, None)
  variables = {'params': jax.tree.map(jnp.asarray, params)}
  view = View(jnp.int32(2), variables, variables, (), (), None, None, problem)
  return interventions.rebalance(beta=beta).apply(view, jax.random.key(0))


@pytest.mark.parametrize('beta', [1.0, 0.3])
def test_the_product_stays_and_the_imbalance_is_set(wide, beta):
  """With two columns of zeros, as factors of smaller rank have them; under vmap over beta too."""
  params = {'left': rng.normal(size=(6, 4)), 'right': rng.normal(size=(4, 5))}
  params['left'][:, 2:], params['right'][2:] = 0, 0
  variables, opt_state = rebalanced(params, jnp.float32(beta))
  after = variables['params']
  assert opt_state == ()
  np.testing.assert_allclose(after['left'] @ after['right'], params['left'] @ params['right'], atol=1e-12)
  np.testing.assert_allclose(after['left'].T @ after['left'], np.float32(beta) ** 2 * np.eye(4), atol=1e-12)
  both = jax.vmap(lambda b: rebalanced(params, b)[0]['params'])(jnp.asarray([beta, 2.0], jnp.float32))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, atol=1e-12), both, after)


@pytest.mark.parametrize(
  ('shapes', 'sentence'),
  [
    ([(3, 2)], 'two factors of a matrix; the weights are left'),
    ([(2, 3), (3, 4)], r'no more columns than rows; left is \(2, 3\)'),
  ],
)
def test_rebalance_says_what_it_needs(shapes, sentence):
  x = jnp.zeros((1, shapes[0][0], shapes[-1][1] if len(shapes) > 1 else shapes[0][0]))
  model = network.from_flax(models.factorisation(1, width=shapes[0][1], symmetric=len(shapes) == 1), x)
  variables = model.init(jax.random.key(0), None)
  view = View(jnp.int32(2), variables, variables, (), (), None, None, Problem(None, model, None, None, None, None))
  with pytest.raises(ValueError, match=sentence):
    interventions.rebalance(beta=1.0).apply(view, jax.random.key(0))


def test_a_run_is_plain_training_but_for_the_step_that_is_rebalanced(cases):
  """Up to step 2 the same bits; at step 2 other factors of the same product; and another way from there on."""
  small = cases.case('matrix')
  read = {'params': lambda view: view.variables['params']}
  make = lambda hyper: interventions.rebalance(beta=hyper['beta'])
  study = cases.study_of(small.model, small.draws, small.loss, 4, read, range(5), interventions={'rebalance': (make, (2,))})
  run = lambda study: train.run(study, (0, 1), {'lr': 0.01, 'beta': 0.7}).arrays['params']
  plain, tables = (
    {name: values.values.swapaxes(0, 1) for name, values in run(s).items()} for s in (study._replace(interventions={}), study)
  )
  for name in ('left', 'right'):
    np.testing.assert_array_equal(tables[name][:2], plain[name][:2])
    assert not np.allclose(tables[name][2], plain[name][2])
  np.testing.assert_allclose(tables['left'][2] @ tables['right'][2], plain['left'][2] @ plain['right'][2], atol=1e-5)
  left = tables['left'][2, 0].astype(np.float64)
  np.testing.assert_allclose(left.T @ left, 0.49 * np.eye(3), atol=1e-5)
  assert not np.allclose(tables['left'][4] @ tables['right'][4], plain['left'][4] @ plain['right'][4], atol=1e-4)
