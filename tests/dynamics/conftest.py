"""Small problems shared by the tests of the library: five models, each with data and a loss that suit it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from dynamics import data, inits, losses, models, optim, parallel, probes, train
from dynamics.data.sampling import sampler
from dynamics.problem import supervised
from dynamics.study import Study
from dynamics.types import Data, Problem, Task

SEEDS, LR = (0, 1, 2), (0.03, 0.05, 0.08)
TIMES = (0, 1, 3, 6)


class Case(NamedTuple):
  task: Task
  loss: losses.Loss
  problem: Problem
  draws: Data  # of key 0


@functools.cache
def case(name: str, batch: int = 0) -> Case:
  tokens, pixels = data.modular(p=5, train_fraction=0.6), data.parity(bits=2, noise_bits=3, train=12, test=8)
  values = data.teacher(inputs=4, outputs=1, train=12, test=6)
  sensed = data.matrix_sensing(rows=4, columns=3, symmetric=False, train=20, singular=(2.0, 1.0))
  task, loss, make = {
    'tokens': (tokens, losses.cross_entropy(), lambda **k: models.mlp(widths=(8,), bias=False, **k)),
    'linear': (values, losses.mean_squared_error(), lambda **k: models.linear(widths=(3,), **k)),
    'matrix': (sensed, losses.mean_absolute_error(), lambda **k: models.factorisation(width=3, symmetric=False, **k)),
    'floats': (pixels, losses.cross_entropy(), lambda **k: models.mlp(widths=(6, 5), activation='tanh', **k)),
    'transformer': (
      tokens,
      losses.cross_entropy(),
      lambda **k: models.transformer(width=8, heads=2, expansion=2, norm='none', **k),
    ),
  }[name]
  module = make(outputs=task.outputs, vocabulary=task.vocabulary)
  draws = task.draw(jax.random.key(0), {})
  x = jax.ShapeDtypeStruct((1, *draws.train.x.shape[1:]), draws.train.x.dtype)
  problem = supervised(module, x, loss, init=inits.independent(inits.uniform), batch=sampler(size=batch))
  return Case(task, loss, problem, draws)


MODELS = ('tokens', 'linear', 'matrix', 'floats', 'transformer')
REFUSE_TOKENS = ('modes', 'null_space', 'patches', 'spectrum')
MATRICES = ('recovery',)  # on matrix sensing alone
# Tangent kernels and Hessians of a transformer take longer to compile than all else, and are tested by themselves.
CURVATURE = ('batch_curvature', 'dense_spectrum', 'hessian_spectrum', 'sharpness')
SLOW = (*CURVATURE, 'kernel', 'kernel_regression')
PROBES = {
  'tokens': tuple(p for p in probes.__all__ if p not in (*REFUSE_TOKENS, *MATRICES, *CURVATURE)),
  'linear': tuple(p for p in probes.__all__ if p not in MATRICES),
  'matrix': ('performance', 'balance', *MATRICES),
  'floats': tuple(p for p in probes.__all__ if p not in MATRICES),
  'transformer': tuple(p for p in probes.__all__ if p not in (*REFUSE_TOKENS, *MATRICES, *SLOW, 'balance')),
}


def study(name: str, on=None, *, family=optim.momentum, steps=6, times=TIMES, batch=0, **more) -> Study:
  """A short study of one of `MODELS` with the probes `on`, all read at the same times."""
  some, on = case(name, batch), PROBES[name] if on is None else on
  data_ = some.task.draw if more.get('own_data') else lambda key, hyper: some.draws  # constants compile at once
  made = {probe: getattr(probes, probe)(some.problem.apply, some.loss) for probe in on}
  schedule = {probe: tuple(t for t in times if t <= steps) for probe in on}
  return Study(some.problem, optim.optimizer(family), data_, made, schedule, steps, **more)


@functools.cache
def trained(name: str, on: tuple[str, ...] | None = None) -> train.State:
  """The state of three members after six steps: two programs, start and advance."""
  members, programs = train.join(SEEDS, {'lr': LR}), train.compile_programs(study(name, on), parallel.mesh(1))
  some = case(name).draws
  return jax.device_get(programs.advance(programs.start(members, some), members, some, 0, 6))


@functools.cache
def done(name: str, on: tuple[str, ...] | None = None) -> train.Result:
  """The study of a model, run for three members; results on the host."""
  return jax.device_get(train.run(study(name, on), SEEDS, {'lr': LR}))


def member(name: str, i: int = 1):
  """(state, key, hyper, data, step) of member i after the study: what `train.measure` takes."""
  members = train.join(SEEDS, {'lr': LR})
  state = jax.tree.map(lambda x: jnp.asarray(x[i]), trained(name))
  return state, members.keys[i], {'lr': members.hyper['lr'][i]}, case(name).draws, jnp.int32(6)


class Cases(NamedTuple):
  """What the tests share, as one fixture, because test modules do not import each other."""

  case = staticmethod(case)
  study = staticmethod(study)
  done = staticmethod(done)
  trained = staticmethod(trained)
  member = staticmethod(member)
  seeds: tuple = SEEDS
  lr: tuple = LR


@pytest.fixture(scope='session')
def cases() -> Cases:
  return Cases()
