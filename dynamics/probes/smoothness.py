"""How fast the gradient changes down its own line: the smoothness of the loss where training goes."""

import fnmatch

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.probes.evaluation import first, mean_loss
from dynamics.schema import Range
from dynamics.types import Probe, stateless


@component()
def smoothness(
  *,
  examples: Range(int, least=1) = 256,
  nearest: Range(float, above=0.0) = 0.01,
  farthest: Range(float, above=0.0) = 0.3,
  points: Range(int, least=2) = 5,
  where: str = '*',
) -> Probe:
  """|g(w + r d) - g(w)| / |r d| for d = -g |w| / |g|, on the first `examples` training examples: the slope of the gradient.

  w are the parameter arrays whose paths match `where`, such as '*kernel', and all others stay. Only units that keep their size
  when w is scaled compare networks that are normalised: these are `scaled` and `steepness`. All readings are NaN where g is 0.

  Reading:
    offset (r,), the length of w: `points` from `nearest` to `farthest`, even in the logarithm.
    change (r,), unit of the loss over a parameter squared: the slope at each of them.
    largest (), unit of the loss over a parameter squared: the largest of them, the effective smoothness.
    scaled (), unit of the loss: largest times |w|^2.
    steepness (), unit of the loss: |g| |w|.
  Cost: `points` + 1 gradients on the examples, one after the other; memory of one, and of four vectors. No state.
  Oracle: a quadratic loss, in closed form; numpy on dense gradients.
  Source: 1805.11604, figure 4c (effective smoothness); 1903.10520, section 3.3 (the Lipschitz constants it stands for).
  """

  def read(view, key):
    level = mean_loss(view, first(view.data.train, examples))
    params = view.variables['params']
    chosen = [fnmatch.fnmatch(path, where) for path in trees.by_path(params)]
    if not any(chosen):
      raise ValueError(f'where is {where!r}, which matches none of {", ".join(trees.by_path(params))}')
    leaves, structure = jax.tree.flatten(params)
    part = [leaf for leaf, inside in zip(leaves, chosen, strict=True) if inside]

    def slope(part):
      moved = iter(part)
      joined = [next(moved) if inside else leaf for leaf, inside in zip(leaves, chosen, strict=True)]
      return level(jax.tree.unflatten(structure, joined))

    size, offset = trees.norm(part), jnp.geomspace(nearest, farthest, points, dtype=jnp.float32)
    here = jax.grad(slope)(part)
    steep = trees.norm(here)
    down = jax.tree.map(lambda g: -g * (size / steep).astype(g.dtype), here)

    def change(r):
      there = jax.grad(slope)(jax.tree.map(lambda w, d: w + r.astype(w.dtype) * d, part, down))
      return trees.norm(trees.subtract(there, here)).astype(jnp.float32) / (r * size.astype(jnp.float32))

    changes = jax.lax.map(change, offset)
    largest = jnp.max(changes)
    return {
      'offset': offset,
      'change': changes,
      'largest': largest,
      'scaled': largest * jnp.square(size).astype(jnp.float32),
      'steepness': (steep * size).astype(jnp.float32),
    }

  return stateless(read)
