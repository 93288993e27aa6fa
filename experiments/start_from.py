"""Reading what a source run left: its variables, or its whole state to go on with."""

import jax
import numpy as np

from dynamics import parallel, plan, train
from dynamics.plan import Cell
from dynamics.schema import ConfigError
from experiments import checkpoints
from experiments.build import build
from experiments.resolve import needs_x64


def variables(cell: Cell, out):
  """The source run's variables for our members, leaves (m, ...), or None."""
  if cell.source is None:
    return None
  state, frozen = _read(cell, out)
  return {**state.variables, 'initial': frozen.initial['params'], 'frozen': frozen.drawn}


def state(cell: Cell, out, like_state, like_frozen):
  """(step, state, frozen) of the source run for our members, to go on with.

  Raises:
    ConfigError: a source whose state is not like ours.
  """
  state, frozen = _read(cell, out)
  state = state._replace(probes=like_state.probes)
  for ours, theirs in ((like_state._replace(probes={}), state._replace(probes={})), (like_frozen, frozen)):
    kinds = [jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree) for tree in (ours, theirs)]
    if kinds[0] != kinds[1]:
      raise ConfigError("source: take='state' goes on with a training, but that run's state has other shapes than this one's.")
  if jax.tree.leaves(like_state.probes):
    raise ConfigError("source: take='state' begins in the middle, where probes that listen from the start cannot be read.")
  return cell.source.at, state, frozen


def _read(cell: Cell, out):
  """State and start of the source run at its checkpoint, for our members, every byte checked."""
  other, at = cell.source.cell, cell.source.at
  folder = out / plan.identity(other)
  silent = other._replace(probes={})
  with jax.enable_x64(needs_x64(silent)):
    study = build(silent)
    members = train.join(other.seeds, other.hyper, variables(other, out))
    programs = train.compile_programs(study, parallel.mesh(other.members, devices=jax.devices()[:1]))
    like_state, like_frozen = jax.eval_shape(programs.start, members, jax.eval_shape(programs.data, members))
    state, _ = checkpoints.Folder(folder / 'checkpoints', (), print).read(at, like_state)
    frozen, _ = checkpoints.Folder(folder / 'start', (), print).read(0, like_frozen)
  rows = np.asarray(cell.source.members)
  return jax.tree.map(lambda x: x[rows], (state, frozen))
