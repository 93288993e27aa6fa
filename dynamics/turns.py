"""Members in turn: the programs of a study for more members than a device's memory holds.

Members never communicate, so a program over some of them gives what it would give them among all. What belongs to all members
lies in the host's memory, as numpy's arrays; each call takes it through the device, a group of members after the other.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import parallel
from dynamics.train import Programs


def sizes(members: int, most: int, rows: int = 1) -> list[int]:
  """The numbers of members in each turn: at most `most`, multiples of `rows` (which divides `members`), and about equal.

  Raises:
    ValueError: not even `rows` members may go at once.
  """
  if most < rows:
    raise ValueError(f'{rows} members go at once, one on each device, and there is room for {most}')
  turns = -(-members // (most // rows * rows))
  size = -(-members // (turns * rows)) * rows  # two lengths at most, as each is compiled for itself
  return [min(size, members - first) for first in range(0, members, size)]


def in_turn(programs: Programs, most: int, own_data: bool) -> Programs:
  """`programs`, for at most `most` members at once on their devices.

  A state that is passed to `advance`, `intervene` or `measure` is written over, as one that is donated.

  Args:
    most: members at once, at least as many as the rows of the mesh.
    own_data: whether the data have an axis of members.
  """
  rows = programs.grid.shape[parallel.MEMBER]

  def each(call: Callable, members, *trees, into=None):
    """What `call` gives of each group of members, with its part of the trees, in arrays of all members."""
    count = len(members.keys)
    for group in _groups(sizes(count, most, rows)):
      part = jax.tree.map(lambda leaf, group=group: leaf[group], (members, *trees))
      into = _written(call(*parallel.place(part, programs.grid, split=True)), group, count, into)
    return into

  def with_data(call, members, data, *trees, into=None):
    if own_data:
      return each(lambda member, data, *parts: call(member, data, *parts), members, data, *trees, into=into)
    return each(lambda member, *parts: call(member, data, *parts), members, *trees, into=into)

  def draw(members, data):
    return with_data(programs.draw, members, data)

  def listen(state, frozen, members, data):
    call = lambda member, data, state, frozen: programs.listen(state, frozen, member, data)
    return with_data(call, members, data, state, frozen)

  def advance(state, frozen, members, data, first, last):
    call = lambda member, data, state, frozen: programs.advance(state, frozen, member, data, first, last)
    return with_data(call, members, data, state, frozen, into=state)

  def intervened(program):
    def intervene(state, frozen, members, data, step):
      call = lambda member, data, state, frozen: program(state, frozen, member, data, step)
      return with_data(call, members, data, state, frozen, into=state)

    return intervene

  def measured(program):
    def measure(state, frozen, members, data, step):
      call = lambda member, data, state, frozen: program(state, frozen, member, data, step)
      return with_data(call, members, data, state, frozen)

    return measure

  return programs._replace(
    data=(lambda members, *seed: each(programs.data, members)) if own_data else programs.data,
    draw=draw,
    listen=listen,
    advance=advance,
    intervene={name: intervened(program) for name, program in programs.intervene.items()},
    measure={name: measured(program) for name, program in programs.measure.items()},
    place=_on_host,
  )


def _groups(numbers: list[int]) -> Iterator[slice]:
  first = 0
  for number in numbers:
    yield slice(first, first + number)
    first += number


def _written(tree, group: slice, members: int, into):
  """The leaves of `tree`, of one group, in those of `into`, which is made where there is none."""
  if into is None:
    into = jax.tree.map(lambda leaf: np.empty((members, *leaf.shape[1:]), leaf.dtype), tree)
  for whole, part in zip(jax.tree.leaves(into), jax.tree.leaves(tree), strict=True):
    whole[group] = np.asarray(part)
  return into


def _is_key(leaf) -> bool:
  return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _on_host(tree):
  """Arrays that may be written over. Keys stay where they are: a host has no arrays of them."""
  return jax.tree.map(lambda leaf: leaf if _is_key(leaf) else np.array(leaf), tree)
