"""Where the axes of an operand go in an equation of a jaxpr: which axis of the output comes from which."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Piece(NamedTuple):
  """A factor of an axis of a leaf: the whole axis, unless a reshape has split it. A slice counts as its whole axis."""

  axis: int
  size: int


Axes = tuple[tuple[Piece, ...], ...]  # the pieces along each axis of a variable


def extent(pieces: Iterable[Piece]) -> int:
  return math.prod(piece.size for piece in pieces)


def moved(eqn, place: int, axes: Axes, after) -> Axes | None:
  """The pieces along each axis of the output; None where they cannot be followed."""
  name, params, before = eqn.primitive.name, eqn.params, eqn.invars[place].aval
  out: list[tuple[Piece, ...]] = [()] * after.ndim
  if name == 'dot_general':
    contracted, batch = params['dimension_numbers']
    free = lambda i: [k for k in range(eqn.invars[i].aval.ndim) if k not in contracted[i] and k not in batch[i]]
    start = len(batch[0]) + (len(free(0)) if place else 0)
    pairs = [*enumerate(batch[place]), *enumerate(free(place), start)]
  elif name == 'conv_general_dilated':
    lhs, rhs, result = params['dimension_numbers']
    pairs = [(result[1], rhs[0])] if place else [(a, b) for a, b in zip(result, lhs, strict=True) if a != result[1]]
  elif name == 'gather':
    how = params['dimension_numbers']
    hidden = (*how.collapsed_slice_dims, *how.operand_batching_dims)
    others = [k for k in range(after.ndim) if k not in how.offset_dims]
    whole = [k for k in range(before.ndim) if k not in hidden]
    pairs = [*zip(how.offset_dims, whole, strict=True)] if place == 0 else [*zip(others, range(before.ndim - 1), strict=True)]
  elif name == 'transpose':
    pairs = [*enumerate(params['permutation'])]
  elif name == 'broadcast_in_dim':
    if place:
      return None
    same = lambda k, i: before.shape[i] == after.shape[k]
    pairs = [(k, i) for i, k in enumerate(params['broadcast_dimensions']) if same(k, i)]
  elif name == 'squeeze' or (name.startswith(('reduce', 'arg')) and 'axes' in params):
    dropped = params['dimensions'] if name == 'squeeze' else params['axes']
    pairs = [*enumerate(k for k in range(before.ndim) if k not in dropped)]
  elif name == 'reshape':
    return _reshaped(axes, before.shape, after.shape)
  elif before.ndim in (0, after.ndim):
    return axes or ((),) * after.ndim
  else:
    return None
  for k, i in pairs:
    out[k] = axes[i]
  return tuple(out)


def _reshaped(axes: Axes, before: Sequence[int], after: Sequence[int]) -> Axes | None:
  """Groups of axes of equal size are matched from the left; within a group pieces are dealt out from the right."""
  out: list[tuple[Piece, ...]] = [()] * len(after)
  if 0 in before:
    return tuple(out)
  i = j = 0
  while i < len(before) and j < len(after):
    first, start, a, b = i, j, before[i], after[j]
    i, j = i + 1, j + 1
    while a != b:
      if a < b:
        a, i = a * before[i], i + 1
      else:
        b, j = b * after[j], j + 1
    single = i == first + 1
    pieces = [p for k in range(first, i) for p in axes[k] if single or before[k] > 1]  # a slice of size 1 falls away
    large = [k for k in range(start, j) if after[k] > 1] or [start]
    for k in reversed(large[1:]):
      dealt = _dealt(pieces, after[k])
      if dealt is None:
        return None
      out[k], pieces = dealt
    out[large[0]] = tuple(pieces)
  return tuple(out)


def _dealt(pieces: list[Piece], size: int) -> tuple[tuple[Piece, ...], list[Piece]] | None:
  """The last pieces of this size together, and the rest; None where they do not divide it."""
  dealt: tuple[Piece, ...] = ()
  while size > 1 and pieces:
    axis, whole = pieces[-1]
    part = math.gcd(whole, size)
    if part not in (whole, size):
      return None
    dealt, size = (Piece(axis, part), *dealt), size // part
    pieces = pieces[:-1] if part == whole else [*pieces[:-1], Piece(axis, whole // part)]
  return dealt, pieces
