"""Reading what a source run left: its variables, or its whole state to go on with."""

import pathlib

import jax
import numpy as np

from dynamics import parallel, plan, train
from dynamics.plan import Cell
from dynamics.types import Frozen, State, Variables
from experiments import checkpoints
from experiments.build import build
from experiments.disk import StoreError, faults, reason
from experiments.resolve import needs_x64


def variables(cell: Cell, out: pathlib.Path) -> Variables | None:
  """The source run's variables for our members, leaves (m, ...); None where there is no source."""
  if cell.source is None:
    return None
  state, frozen = _read(cell, out)
  return frozen.joined(state.variables)


def state(cell: Cell, out: pathlib.Path, like: State) -> tuple[int, State, Frozen]:
  """(step, state, frozen) of the source run for our members, to go on with; probes begin as in `like`, and hold no arrays."""
  state, frozen = _read(cell, out)
  return cell.source.at, state._replace(probes=like.probes), frozen


def _read(cell: Cell, out: pathlib.Path) -> tuple[State, Frozen]:
  """State and start of the source run at its checkpoint, for our members, every byte checked.

  Raises:
    StoreError: a checkpoint that is missing or damaged.
  """
  silent, at = cell.source.cell._replace(probes={}), cell.source.at
  folder = out / plan.identity(silent)
  with jax.enable_x64(needs_x64(silent)):
    members = train.join(silent.seeds, silent.hyper, variables(silent, out))
    programs = train.compile_programs(build(silent), parallel.mesh(silent.members, devices=jax.devices()[:1]))
    like_state, like_frozen = programs.shapes(members)
  tree = (_leaves(folder, 'checkpoints', at, like_state), _leaves(folder, 'start', 0, like_frozen))
  rows = np.asarray(cell.source.members)
  return jax.tree.map(lambda x: x[rows], tree)


def _leaves(folder: pathlib.Path, place: str, step: int, like):
  with faults(folder):
    try:
      return checkpoints.Folder(folder / place, (), print).read(step, like)[0]
    except StoreError:
      raise
    except Exception as error:  # any fault of a damaged file: there are as many as file formats
      text = f'source: {folder / place / str(step)} is missing or damaged ({reason(error)})'
      raise StoreError(f'{text}: remove {folder / "done.json"} and give the same command again to make it anew.') from error
