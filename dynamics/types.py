"""The shapes of everything: read this file first.

Axis letters, used in every docstring and as a suffix of a name where it has more than two axes:

  m member      one setting of seed and hyper values       t time     a probe's moments
  n example     rows of a batch or of a table              d input    features of one example
  k output      logits or regression targets               p parameter, flattened
  l position    tokens of a sequence                       h head, hidden unit

A *static* choice (width, steps, optimiser, probes) changes the program. A *hyper* value (learning rate, weight decay,
init scale, ...) is a traced scalar: all members that differ only in hyper values and seed share one program.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Array = jax.Array
Tree = Any  # a pytree of arrays
Key = Array  # a typed PRNG key, always threefry2x32
Hyper = Mapping[str, Array]  # name -> float32 scalar of one member
Variables = Mapping[str, Tree]  # 'params', and what else a flax module carries ('batch_stats', ...)
Reading = Tree  # nested dicts of arrays with static shapes, one table row
Memory = Tree  # what a probe keeps between readings; () where it keeps nothing


class Batch(NamedTuple):
  """x: (n, ...) inputs, float features or integer tokens. y: (n,) int32 labels, or (n, k) float targets."""

  x: Array
  y: Array


class Data(NamedTuple):
  """What stays on the device for a whole run."""

  train: Batch
  test: Batch


class Task(NamedTuple):
  """A family of data sets, and what a model must know of it."""

  draw: Callable[[Key, Hyper], Data]
  outputs: int  # k: classes or regression targets
  vocabulary: int | None = None  # number of tokens where x holds integers


class Aux(NamedTuple):
  """What a loss shows beside its value."""

  outputs: Array  # (n, k)
  losses: Array  # (n,), in the dtype of the loss's arithmetic
  state: Mapping[str, Tree]  # the collections a model mutates in training; {} for most


class Problem(NamedTuple):
  """What is trained: pure functions, no arrays."""

  init: Callable[[Key, Hyper], Variables]
  apply: Callable[..., Array]  # (variables, x, *, train=False) -> outputs; no side effect in evaluation mode
  loss: Callable[[Variables, Batch, Hyper], tuple[Array, Aux]]  # the training loss: a float scalar
  batch: Callable[[Key, Data, Array], Batch]  # the examples of step t; the key is the same at every step
  init_from: Callable[[Data], Callable[[Key, Hyper], Variables]] | None = None  # an `init` that looks at the data first


class View(NamedTuple):
  """All that a probe may see of one member. What a probe leaves unused is dead code to XLA."""

  step: Array  # () int32
  variables: Variables
  anchor: Variables  # the variables at step 0
  opt_state: Tree
  hyper: Hyper
  data: Data


class Signal(NamedTuple):
  """What a probe may see of one training step, before the update is applied."""

  loss: Array
  grads: Tree
  updates: Tree


class Probe(NamedTuple):
  """An instrument, shaped like an optax transformation.

  `init` gives the memory its final structure at once. `measure` runs at the times of a schedule. `update`, where there
  is one, runs inside the training loop at every step; it sees the step and cannot change it.
  """

  init: Callable[[View], Memory]
  measure: Callable[[View, Memory, Key], tuple[Reading, Memory]]
  update: Callable[[Memory, Signal], Memory] | None = None


def stateless(read: Callable[[View, Key], Reading]) -> Probe:
  """The probe of a pure function of the view, without memory."""
  return Probe(init=lambda view: (), measure=lambda view, memory, key: (read(view, key), memory))
