"""Optimizers and wrappers of optax, as they are, through `optim.from_optax` and `train.run`.

Left out, because they are no transformations of (gradient, state, params) alone: `lookahead` wants pairs of slow and fast
parameters in the model's place; `dpsgd` and `per_example_*` want a gradient of every example.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from dynamics import optim, parallel, stages, train
from dynamics.linalg.products import adam_scale

STEPS, SEEDS = 30, (0, 1)


class Row(NamedTuple):
  make: Callable  # learning rate, which is traced -> transformation
  lr: float


def masked(lr):
  """The first layer alone; the updates of masked leaves would be their gradients."""
  first = lambda params: {name: name == 'input' for name in params}
  others = lambda params: {name: name != 'input' for name in params}
  return optax.chain(optax.masked(optax.adam(lr), first), optax.masked(optax.set_to_zero(), others))


def partitioned(lr):
  labels = lambda params: {name: 'adam' if name == 'input' else 'sgd' for name in params}
  return optax.partition({'adam': optax.adam(lr), 'sgd': optax.sgd(lr)}, labels)


def sam(opaque):
  step_up = optax.chain(contrib.normalize(), optax.sgd(0.05))
  return lambda lr: contrib.sam(optax.sgd(lr), step_up, sync_period=2, opaque_mode=opaque)


QUICK = {
  'adam': Row(optax.adam, 0.05),
  'apply_if_finite': Row(lambda lr: optax.apply_if_finite(optax.sgd(lr), 2), 0.1),
  'inject_hyperparams': Row(lambda lr: optax.inject_hyperparams(optax.sgd)(learning_rate=lr), 0.1),
  'lbfgs': Row(lambda lr: optax.lbfgs(lr, linesearch=optax.scale_by_backtracking_linesearch(5)), 0.5),
  'multi_steps': Row(lambda lr: optax.MultiSteps(optax.sgd(lr), 2).gradient_transformation(), 0.1),
  'partition': Row(partitioned, 0.05),
  'polyak_sgd': Row(lambda lr: optax.polyak_sgd(max_learning_rate=1.0, scaling=lr), 0.5),
  'sam_opaque': Row(sam(opaque=True), 0.1),
  'sophia': Row(contrib.sophia, 0.05),
}
FULL = {
  'acprop': Row(contrib.acprop, 0.05),
  'adabelief': Row(optax.adabelief, 0.05),
  'adadelta': Row(optax.adadelta, 1.0),
  'adafactor': Row(optax.adafactor, 0.1),
  'adagrad': Row(optax.adagrad, 0.3),
  'adamax': Row(optax.adamax, 0.05),
  'adamw': Row(optax.adamw, 0.05),
  'adan': Row(optax.adan, 0.05),
  'ademamix': Row(contrib.ademamix, 0.05),
  'adopt': Row(contrib.adopt, 0.05),
  'amsgrad': Row(optax.amsgrad, 0.05),
  'backtracking': Row(lambda lr: optax.chain(optax.sgd(lr), optax.scale_by_backtracking_linesearch(10)), 1.0),
  'cocob': Row(lambda lr: contrib.cocob(learning_rate=lr), 1.0),
  'dadapt_adamw': Row(contrib.dadapt_adamw, 1.0),
  'dog': Row(lambda lr: contrib.dog(lr, ('heuristic', 1e-2)), 1.0),
  'fromage': Row(optax.fromage, 0.05),
  'galore': Row(lambda lr: contrib.galore(lr, rank=2), 0.05),
  'lamb': Row(optax.lamb, 0.05),
  'lars': Row(lambda lr: optax.lars(lr, trust_coefficient=0.1), 0.5),
  'lbfgs_zoom': Row(lambda lr: optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(8)), 1.0),
  'lion': Row(optax.lion, 0.02),
  'madgrad': Row(contrib.madgrad, 0.05),
  'mechanize': Row(lambda lr: contrib.mechanize(optax.sgd(lr)), 1.0),
  'momentum': Row(lambda lr: optax.sgd(lr, 0.9), 0.05),
  'masked': Row(masked, 0.05),
  'momo': Row(contrib.momo, 0.5),
  'momo_adam': Row(contrib.momo_adam, 0.05),
  'muon': Row(contrib.muon, 0.05),
  'nadam': Row(optax.nadam, 0.05),
  'nesterov': Row(lambda lr: optax.sgd(lr, 0.9, nesterov=True), 0.05),
  'noisy_sgd': Row(lambda lr: optax.noisy_sgd(lr, key=jax.random.key(0)), 0.1),
  'novograd': Row(optax.novograd, 0.05),
  'optimistic_adam': Row(lambda lr: optax.optimistic_adam_v2(lr), 0.05),
  'optimistic_gradient_descent': Row(optax.optimistic_gradient_descent, 0.05),
  'prodigy': Row(contrib.prodigy, 1.0),
  'radam': Row(optax.radam, 0.05),
  'reduce_on_plateau': Row(lambda lr: optax.chain(optax.sgd(lr), contrib.reduce_on_plateau()), 0.1),
  'rmsprop': Row(optax.rmsprop, 0.02),
  'rprop': Row(optax.rprop, 0.01),
  'sam': Row(sam(opaque=False), 0.1),
  'schedule_free_adamw': Row(lambda lr: contrib.schedule_free_adamw(lr, warmup_steps=2), 0.05),
  'schedule_free_sgd': Row(lambda lr: contrib.schedule_free_sgd(lr, warmup_steps=2), 0.2),
  'sgd': Row(optax.sgd, 0.1),
  'sign_sgd': Row(optax.sign_sgd, 0.02),
  'sm3': Row(optax.sm3, 0.3),
  'yogi': Row(optax.yogi, 0.05),
}


PARAMETERS = [
  *(pytest.param(row, id=name) for name, row in QUICK.items()),
  *(pytest.param(row, id=name, marks=pytest.mark.slow) for name, row in FULL.items()),
]


@pytest.fixture(scope='module')
def mean_loss(cases):
  """Params of members -> their training losses."""
  linear = cases.case('linear')
  batch = linear.draws.train
  of_member = lambda params: jnp.mean(linear.loss(linear.model.apply({'params': params}, batch.x), batch.y))
  return jax.jit(jax.vmap(of_member))


@pytest.mark.parametrize('row', PARAMETERS)
def test_optax_trains(cases, mean_loss, row):
  """Two members with traced rates lower their loss, and all that the optimizer keeps stays finite."""
  study = cases.study('linear', (), optimizer=lambda lr: optim.from_optax(row.make(lr)), steps=STEPS)
  result = train.run(study, SEEDS, {'lr': (row.lr, 0.9 * row.lr)}, grid=parallel.mesh(len(SEEDS), devices=jax.devices()[:1]))
  floats = [x for x in jax.tree.leaves(result.state.opt_state) if jnp.issubdtype(x.dtype, jnp.inexact)]
  assert all(np.isfinite(x).all() for x in floats)
  before, after = (mean_loss(v['params']) for v in (result.frozen.initial, result.state.variables))
  assert (after < 0.9 * before).all(), (before, after)


# ---- what sharpness reads beside them ---------------------------------------------------------------------------


def reading(cases, optimizer):
  """The shapes that sharpness reads beside an optimizer of (learning rate)."""
  study = cases.study('linear', ('sharpness',), optimizer=optimizer, steps=STEPS)
  member = stages.Members(train.seed_key(0), {'lr': jnp.float32(0.1)})
  data, step = cases.case('linear').draws, jnp.int32(0)
  state, frozen = jax.eval_shape(stages.start(study), member, data)
  return jax.eval_shape(stages.measure(study, 'sharpness'), state, frozen, member, data, step)[0]


@pytest.mark.parametrize('row', PARAMETERS)
def test_sharpness_says_that_it_cannot_read_a_preconditioner(cases, row):
  """As long as nobody states what there is to read, whatever the optimizer."""
  with pytest.raises(ValueError, match='cannot read the preconditioner of this optimizer, which may normalise'):
    reading(cases, lambda lr: optim.from_optax(row.make(lr)))


def test_sharpness_reads_a_stated_preconditioner_and_none_where_there_is_none(cases):
  scale = lambda state: adam_scale(state[0])
  adam = lambda lr: optim.from_optax(optax.adam(lr), lr, normalised=True, precondition=scale)
  assert {'largest', 'preconditioned', 'lr_preconditioned'} <= set(reading(cases, adam))
  plain = reading(cases, lambda lr: optim.from_optax(optax.sgd(lr), lr, normalised=False))
  assert 'largest' in plain
  assert 'preconditioned' not in plain


def test_a_parametrization_needs_to_know_whether_updates_are_normalised():
  with pytest.raises(ValueError, match=r'give .optim.from_optax. normalised=True or False'):
    optim.chain(optim.from_optax(optax.lion(0.1)), rates=lambda normalised: {})
