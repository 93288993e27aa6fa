"""The shapes of everything: read this file first.

Axis letters, used in every docstring and as a suffix of a name where it has more than two axes:

  m member      one setting of seed and hyper values       t time     a probe's times
  n example     rows of a batch or of a table              d input    features of one example
  k output      logits or regression targets               p parameter, flattened
  l position    tokens of a sequence                       h head, hidden unit

A *static* choice (width, steps, optimizer, probes) changes the program. A *hyper* value (learning rate, weight decay, init
scale, ...) is a traced scalar: all members that differ only in hyper values and seed share one program.

An experiment is a function of its hyper values, `hyper -> Problem`, called while JAX traces: everything in a `Problem` is a
pure function that may close over traced scalars, so nothing but this one function is handed hyper values.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Array = jax.Array
Tree = Any  # a pytree of arrays
Key = Array  # a typed PRNG key, always threefry2x32
Hyper = Mapping[str, Array]  # name -> float32 scalar of one member
Reading = Tree  # nested dicts of arrays with static shapes, one table row
ProbeState = Tree  # what a probe carries from one reading to the next; () where it carries nothing
Loss = Callable[[Array, Array], Array]  # (outputs (n, k), targets) -> (n,): of single examples

# What a model is applied to. 'params' is trained. Collections such as 'batch_stats' change in training steps only. Two more
# never change and are held once: 'initial', the params at step 0, and 'frozen', what transforms have drawn, by their names.
Variables = Mapping[str, Tree]


class Batch(NamedTuple):
  """x: inputs with a leading n; float features, integer tokens, or a tree of such arrays.

  y: (n,) integer labels, (n, l) integer labels of positions, or (n, k) float targets.
  """

  x: Tree
  y: Array


class Data(NamedTuple):
  """What stays on the device for a whole run."""

  train: Batch
  test: Batch
  source: Variables | None = None  # another run's variables, where the run names one


class Task(NamedTuple):
  """A family of data sets, and what a model must know of it."""

  draw: Callable[[Key], Data]
  outputs: int  # k: classes or regression targets
  vocabulary: int | None = None  # number of tokens where x holds integers
  batch: Callable[[Key, Data, Array], Batch] | None = None  # fresh examples of step t; None draws from data.train


class Trace(NamedTuple):
  """What a forward pass shows beside its outputs. What is left unused is dead code to XLA."""

  mutated: Mapping[str, Tree]  # the collections that a training step changes; {} in evaluation
  features: Mapping[str, Array]  # hidden activations (n, ..., h), by name, in the order of the layers


class Model(NamedTuple):
  """A function with parameters. A *transform* maps a Model to a Model."""

  init: Callable[[Key, Data], Variables]  # without 'initial'
  forward: Callable[..., tuple[Array, Trace]]  # (variables, x, *, key=None, train=False); the key is for dropout and noise
  leaves: Callable[[], Tree]  # a `dynamics.leaves.Leaf` for every parameter
  rates: Callable[[bool], Tree] | None = None  # normalised? -> a factor on the learning rate of every leaf; None: all 1
  transforms: tuple[str, ...] = ()  # names of those that made it, the first first
  weights: Callable[[Variables], Tree] = lambda variables: variables['params']  # -> what the network inside all transforms sees

  def apply(self, variables: Variables, x: Tree, *, key: Key | None = None, train: bool = False) -> Array:
    """The outputs alone, (n, k)."""
    return self.forward(variables, x, key=key, train=train)[0]


class Aux(NamedTuple):
  """What an objective shows beside its value."""

  outputs: Array  # (n, k)
  losses: Array  # (n,), in the dtype of the loss's arithmetic
  mutated: Mapping[str, Tree]


Objective = Callable[[Variables, Batch, Key], tuple[Array, Aux]]  # the training loss: a float scalar


class Source(NamedTuple):
  """Another run, from which this one starts or at which it looks."""

  model: Model
  variables: Variables


class Optimizer(NamedTuple):
  """An optax transformation, and what instruments may know of it."""

  init: Callable[[Tree], Tree]
  update: Callable[..., tuple[Tree, Tree]]  # (grads, opt_state, params, *, value, grad, value_fn, hessian, ...) as optax has it
  learning_rate: Callable[[Array], Array] | None = None  # step -> the rate of that step; None where there is none
  normalised: bool | None = None  # whether an update's size does not follow the gradient's, as in Adam; None: not stated
  precondition: Callable[[Tree], Tree] | None = None  # opt_state -> the diagonal that divides the gradient, like params


class State(NamedTuple):
  """All of one member that changes in training: what a checkpoint holds. Under members every leaf has a leading m."""

  variables: Variables
  opt_state: Tree
  stopped: Array | tuple  # () int32, the step at which the stopping rule held, -1 before; () without a rule
  probes: Mapping[str, ProbeState]


class Frozen(NamedTuple):
  """What never changes after the start: held once, in memory and on disk."""

  initial: Variables  # all collections at step 0
  drawn: Mapping[str, Tree]  # by transforms

  def joined(self, variables: Variables) -> Variables:
    """The collections that change with the two that do not: variables as a model is applied to them."""
    return {**variables, 'initial': self.initial['params'], 'frozen': self.drawn}


class Intervention(NamedTuple):
  """A change of the state at the times of a schedule: a program of its own, outside of the training loop.

  At step t it runs after t training steps and before the readings of step t.
  """

  apply: Callable[['View', Key], tuple[Variables, Tree]]  # -> the changed (variables, opt_state)


class View(NamedTuple):
  """All that a probe may see of one member. What a probe leaves unused is dead code to XLA."""

  step: Array  # () int32
  variables: Variables
  initial: Variables  # the variables at step 0
  opt_state: Tree
  stopped: Array | tuple
  learning_rate: Array | None  # () of the coming step, its schedule included
  data: Data
  problem: 'Problem'  # functions: model, loss, objective, optimizer


class StepInfo(NamedTuple):
  """What a probe may see of one training step, before the update is applied."""

  loss: Array
  grads: Tree
  updates: Tree
  learning_rate: Tree | None  # () for every leaf, schedule and parametrization included


class Probe(NamedTuple):
  """An instrument, shaped like an optax transformation.

  `init` gives the probe's state its final structure at once. `measure` runs at the times of a schedule. `update`, where there
  is one, runs inside the training loop at every step; it sees the step and cannot change it.
  """

  init: Callable[[View], ProbeState]
  measure: Callable[[View, ProbeState, Key], tuple[Reading, ProbeState]]
  update: Callable[[ProbeState, StepInfo], ProbeState] | None = None


class Problem(NamedTuple):
  """What is trained and what is measured, for one setting of the hyper values."""

  task: Task
  model: Model
  loss: Loss  # of single examples
  objective: Objective
  optimizer: Optimizer
  batch: Callable[[Key, Data, Array], Batch]  # the examples of step t; the key is the same at every step
  stop: Callable[[Array], Array] | None = None  # training loss of a batch -> whether the member stands still from now on
  interventions: Mapping[str, Intervention] = {}
  probes: Mapping[str, Probe] = {}


def stateless(read: Callable[[View, Key], Reading]) -> Probe:
  """The probe of a pure function of the view, which carries no state."""
  return Probe(init=lambda view: (), measure=lambda view, state, key: (read(view, key), state))
