"""Target variance rescaling: weights whose spread has outgrown a target are shrunk to it."""

import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.inits.branches import block_numbers
from dynamics.leaves import map_leaves, weights
from dynamics.schema import Range, Traced
from dynamics.types import Intervention


@component()
def tvr(
  *,
  ratio: Range(float, least=1.0) = 1.2,
  branches_per_block: Range(int, least=0) = 0,
  target_std: Traced(above=0.0) = 0.02,
) -> Intervention:
  """W <- mean + (W - mean) target / std for every weight matrix W whose std is more than `ratio` times its target.

  Mean and std are over the entries of a matrix; of several in one array each is a matrix. Embeddings count as matrices. Biases,
  scales and the optimizer's state stay; the source sets biases of rescaled layers to zero.

  Args:
    ratio: of std to target, above which a matrix is rescaled.
    branches_per_block: 0 gives all matrices one target. Else that of the l-th block, l = 1, 2, ..., is target_std / sqrt(l), with
      blocks as the init `lir` counts them.
    target_std: the target.

  Raises:
    ValueError: no weight has two axes; with `branches_per_block`, weights of several blocks in one array, as in a scan.
  Source: 2503.17500 (target variance rescaling, every 50 steps there).
  """

  def apply(view, key):
    described, params = view.problem.model.leaves(), view.variables['params']
    chosen = {leaf.name for leaf in weights(described) if leaf.inputs and leaf.outputs and not {*leaf.inputs} & {*leaf.outputs}}
    if not chosen:
      raise ValueError(f'tvr needs weights with two axes or more; they are {", ".join(leaf.name for leaf in weights(described))}')
    numbers = block_numbers(view.problem.model, view.data, described, branches_per_block) if branches_per_block else {}

    def rescaled(leaf, w):
      if leaf.name not in chosen:
        return w
      wide, axes = trees.at_least_float32(w), (*leaf.inputs, *leaf.outputs)
      target = jnp.asarray(target_std, wide.dtype) * numbers.get(leaf.name, 1) ** -0.5
      mean = jnp.mean(wide, axis=axes, keepdims=True)
      std = jnp.sqrt(jnp.mean(jnp.square(wide - mean), axis=axes, keepdims=True))
      outgrown = std > ratio * target
      factor = jnp.where(outgrown, target / jnp.where(outgrown, std, 1), 1)
      return jnp.where(outgrown, mean + (wide - mean) * factor, wide).astype(w.dtype)

    return {**view.variables, 'params': map_leaves(rescaled, described, params)}, view.opt_state

  return Intervention(apply)
