"""What is measured: configs as a user would write them, built as a run builds them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import flops
from dynamics import parallel, plan, stages, train, trees
from dynamics.study import Study
from dynamics.types import Data, Frozen, Problem, State
from experiments.build import build
from experiments.resolve import resolve_config

PAPER = dict(  # 2501.04697: 5,107 of the 12,769 pairs modulo 113, full batch
  data=dict(name='modular', p=113),
  model=dict(name='mlp', widths=(200, 200), bias=False),
  init=dict(name='uniform'),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='adamw', perpendicular='rescaled'),
  hyper=dict(lr=0.01, beta2=0.99, eps=1e-25, init_scale=3**-0.5),
  steps=2_000,
  own_data=True,
)
SMALL = dict(  # 2,410 parameters
  data=dict(name='images', source='digits'),
  model=dict(name='mlp', widths=(32,)),
  loss=dict(name='cross_entropy'),
  optimizer=dict(name='sgd'),
  hyper=dict(lr=0.05),
  batch=dict(size=32),
  steps=50_000,
)
LARGE = SMALL | dict(model=dict(name='mlp', widths=(256, 256)), batch=dict(size=128), steps=5_000)  # 85,002 parameters


class Subject(NamedTuple):
  """A study with its compiled programs, its members, and their data on the device."""

  study: Study
  members: stages.Members
  programs: train.Programs
  data: Data

  def start(self) -> tuple[State, Frozen]:
    return self.programs.start(self.members, self.data)

  def advance(self, state: State, frozen: Frozen, first: int, last: int) -> State:
    return jax.block_until_ready(self.programs.advance(state, frozen, self.members, self.data, first, last))

  def problem(self, i: int) -> Problem:
    """Of member i."""
    return self.study.problem({name: value[i] for name, value in self.members.hyper.items()}, None)


def cell(config: plan.Config, members: int = 1) -> plan.Cell:
  """The one cell of a config without sweep."""
  (single,) = plan.cells(config | dict(seeds=tuple(range(members))), resolve_config)
  return single


def subject(config: plan.Config, members: int = 1, *, layout: str = 'vmap', probes: bool = True) -> Subject:
  """A config ready to run: all probes at the default schedule, or none."""
  chosen = cell(config | dict(layout=layout), members)
  study = build(chosen)
  study = study if probes else study._replace(schedule={})
  grid = parallel.mesh(members)
  joined = parallel.place(train.join(chosen.seeds, chosen.hyper), grid, split=True)
  programs = train.compile_programs(study, grid, layout=layout)
  return Subject(study, joined, programs, jax.block_until_ready(programs.data(joined)))


def run(item: Subject) -> int:
  """A whole run, as `train.events` gives it to any caller; returns member-steps."""
  for _ in train.events(item.study, item.members, item.programs):
    pass
  return item.study.steps * len(item.members.keys)


def steady(item: Subject, steps: int) -> Callable[[], float]:
  """A side for `timing.alternate` that goes on training, `steps` at a call."""
  (state, frozen), at = item.start(), 0

  def work():
    nonlocal state, at
    state, at = item.advance(state, frozen, at, at + steps), at + steps
    return steps * len(item.members.keys)

  return work


def member(tree, i: int):
  """Member i of a tree, as numpy."""
  return jax.tree.map(lambda x: np.asarray(x[i]), jax.device_get(tree))


def data_of(item: Subject, i: int) -> Data:
  return member(item.data, i) if item.study.own_data else jax.device_get(item.data)


def loss(item: Subject, state: State, i: int) -> float:
  """The training loss of member i on all its training examples."""
  variables = jax.tree.map(lambda x: x[i], state.variables)
  train_batch = jax.tree.map(jnp.asarray, data_of(item, i).train)
  return float(item.problem(i).objective(variables, train_batch, train.seed_key(0))[0])


def step_flops(item: Subject) -> int:
  """Floating-point operations of the matrix products in one training step of one member, from shapes."""
  problem, data = item.problem(0), data_of(item, 0)
  key, (state, _) = train.seed_key(0), jax.eval_shape(item.start)
  params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), state.variables['params'])
  batch = jax.eval_shape(lambda: problem.batch(key, jax.tree.map(jnp.asarray, data), jnp.int32(0)))
  gradient = jax.grad(lambda params, batch: problem.objective({'params': params}, batch, key)[0])
  return flops.of_products(gradient, params, batch)


def batches(item: Subject, i: int, steps: int):
  """The batches that member i sees at steps 0, 1, ...: (steps, n, ...) numpy."""
  key = trees.named_key(item.members.keys[i], 'batch')
  data = jax.tree.map(jnp.asarray, data_of(item, i))
  return jax.device_get(jax.vmap(lambda t: item.problem(i).batch(key, data, t))(jnp.arange(steps, dtype=jnp.int32)))
