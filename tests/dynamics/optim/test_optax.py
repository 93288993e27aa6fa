"""Optimizers and wrappers of optax, as they are, through `optim.from_optax` and `train.run`.

Left out, because they are no transformations of (gradient, state, params) alone: `lookahead` wants pairs of slow and fast
parameters in the model's place; `dpsgd` and `per_example_*` want a gradient of every example.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from dynamics import optim, parallel, train

STEPS, SEEDS = 30, (0, 1)


class Row(NamedTuple):
  make: object  # learning rate, which is traced -> optax transformation
  lr: float
  normalised: bool = False  # the first update does not follow the size of the gradient


def masked(lr):
  """The first layer alone."""
  return optax.masked(optax.adam(lr), lambda params: {name: name == 'input' for name in params})


def partitioned(lr):
  labels = lambda params: {name: 'adam' if name == 'input' else 'sgd' for name in params}
  return optax.partition({'adam': optax.adam(lr), 'sgd': optax.sgd(lr)}, labels)


def sam(opaque):
  step_up = optax.chain(contrib.normalize(), optax.sgd(0.05))
  return lambda lr: contrib.sam(optax.sgd(lr), step_up, sync_period=2, opaque_mode=opaque)


QUICK = {
  'adam': Row(optax.adam, 0.05, True),
  'apply_if_finite': Row(lambda lr: optax.apply_if_finite(optax.sgd(lr), 2), 0.1),
  'inject_hyperparams': Row(lambda lr: optax.inject_hyperparams(optax.sgd)(learning_rate=lr), 0.1),
  'lbfgs': Row(lambda lr: optax.lbfgs(lr, linesearch=optax.scale_by_backtracking_linesearch(5)), 0.5),
  'multi_steps': Row(lambda lr: optax.MultiSteps(optax.sgd(lr), 2).gradient_transformation(), 0.1),
  'partition': Row(partitioned, 0.05),
  'polyak_sgd': Row(lambda lr: optax.polyak_sgd(max_learning_rate=1.0, scaling=lr), 0.5),
  'sam_opaque': Row(sam(True), 0.1),
  'sophia': Row(contrib.sophia, 0.05, True),
}
FULL = {
  'acprop': Row(contrib.acprop, 0.05),
  'adabelief': Row(optax.adabelief, 0.05, True),
  'adadelta': Row(optax.adadelta, 1.0),
  'adafactor': Row(optax.adafactor, 0.1, True),
  'adagrad': Row(optax.adagrad, 0.3, True),
  'adamax': Row(optax.adamax, 0.05, True),
  'adamw': Row(optax.adamw, 0.05, True),
  'adan': Row(optax.adan, 0.05, True),
  'ademamix': Row(contrib.ademamix, 0.05, True),
  'adopt': Row(contrib.adopt, 0.05, True),
  'amsgrad': Row(optax.amsgrad, 0.05, True),
  'backtracking': Row(lambda lr: optax.chain(optax.sgd(lr), optax.scale_by_backtracking_linesearch(10)), 1.0),
  'cocob': Row(lambda lr: contrib.cocob(learning_rate=lr), 1.0, True),
  'dadapt_adamw': Row(contrib.dadapt_adamw, 1.0),
  'dog': Row(lambda lr: contrib.dog(lr), 1.0),
  'fromage': Row(optax.fromage, 0.05, True),
  'galore': Row(lambda lr: contrib.galore(lr, rank=2), 0.05, True),
  'lamb': Row(optax.lamb, 0.05, True),
  'lars': Row(lambda lr: optax.lars(lr, trust_coefficient=0.1), 0.5, True),
  'lbfgs_zoom': Row(lambda lr: optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(8)), 1.0),
  'lion': Row(optax.lion, 0.02, True),
  'madgrad': Row(contrib.madgrad, 0.05),
  'mechanize': Row(lambda lr: contrib.mechanize(optax.sgd(lr)), 1.0),
  'momentum': Row(lambda lr: optax.sgd(lr, 0.9), 0.05),
  'masked': Row(masked, 0.05),
  'momo': Row(contrib.momo, 0.5),
  'momo_adam': Row(contrib.momo_adam, 0.05),
  'muon': Row(contrib.muon, 0.05, True),
  'nadam': Row(optax.nadam, 0.05, True),
  'nesterov': Row(lambda lr: optax.sgd(lr, 0.9, nesterov=True), 0.05),
  'noisy_sgd': Row(lambda lr: optax.noisy_sgd(lr, key=jax.random.key(0)), 0.1),
  'novograd': Row(optax.novograd, 0.05, True),
  'optimistic_adam': Row(lambda lr: optax.optimistic_adam_v2(lr), 0.05, True),
  'optimistic_gradient_descent': Row(optax.optimistic_gradient_descent, 0.05),
  'prodigy': Row(contrib.prodigy, 1.0),
  'radam': Row(optax.radam, 0.05),
  'reduce_on_plateau': Row(lambda lr: optax.chain(optax.sgd(lr), contrib.reduce_on_plateau()), 0.1),
  'rmsprop': Row(optax.rmsprop, 0.02, True),
  'rprop': Row(optax.rprop, 0.01, True),
  'sam': Row(sam(False), 0.1),
  'schedule_free_adamw': Row(lambda lr: contrib.schedule_free_adamw(lr, warmup_steps=2), 0.05),
  'schedule_free_sgd': Row(lambda lr: contrib.schedule_free_sgd(lr, warmup_steps=2), 0.2),
  'sgd': Row(optax.sgd, 0.1),
  'sign_sgd': Row(optax.sign_sgd, 0.02, True),
  'sm3': Row(optax.sm3, 0.3, True),
  'yogi': Row(optax.yogi, 0.05),
}


@pytest.fixture(scope='module')
def linear(cases):
  return cases.case('linear')


@pytest.fixture(scope='module')
def mean_loss(linear):
  batch = linear.draws.train
  return jax.jit(jax.vmap(lambda params: jnp.mean(linear.loss(linear.model.apply({'params': params}, batch.x), batch.y))))


@pytest.mark.parametrize('row', [*(pytest.param(r, id=n) for n, r in QUICK.items()), *(pytest.param(r, id=n, marks=pytest.mark.slow) for n, r in FULL.items())])
def test_optax_trains(cases, mean_loss, row):
  study = cases.study('linear', (), optimizer=lambda lr: optim.from_optax(row.make(lr)), steps=STEPS)
  grid = parallel.mesh(len(SEEDS), devices=jax.devices()[:1])
  state, frozen = train.run(study, SEEDS, {'lr': (row.lr, 0.9 * row.lr)}, grid=grid)[1:]
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating))
  before, after = mean_loss(frozen.initial['params']), mean_loss(state.variables['params'])
  print(before, after)
  assert (after < before).all()
