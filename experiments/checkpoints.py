"""Checkpoints: trees of arrays with a digest of every leaf. The only module that knows orbax."""

import contextlib
import hashlib
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import absl.logging
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as policy

from dynamics import parallel, trees
from dynamics.sealed import seal
from dynamics.types import Tree
from experiments import markers
from experiments.disk import Damage, StoreError, check_space, faults, reason
from experiments.processes import ALONE, Group

KEEP = 2  # newest checkpoints kept

absl.logging.set_verbosity(absl.logging.FATAL)  # orbax warns of what is meant here, and what fails is told as a sentence


class Folder:
  """Checkpoints under folder/<step>: the newest two, and the steps `keep`. They go to disk while training goes on.

  Of several processes each writes its members, and training waits; each reads all by itself.
  """

  def __init__(self, folder: pathlib.Path, keep: tuple[int, ...], say: Callable[[str], None], group: Group = ALONE):
    self.folder, self.say, self.group = folder, say, group
    self._keep = keep
    self._manager: ocp.CheckpointManager | None = None

  def steps(self) -> list[int]:
    """What lies there, the newest first."""
    return markers.steps(self.folder)

  def save(self, step: int, leaves: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
    """Begins to write `leaves`, from `flatten`, and `notes`, plain values that go with them."""
    check_space(self.folder.parent, leaves.values())
    meta = {**notes, 'leaves': self._descriptions(leaves)}
    args = ocp.args.Composite(state=ocp.args.StandardSave(dict(leaves)), meta=ocp.args.JsonSave({**meta, 'sha256': seal(meta)}))
    self._open().save(step, args=args, force=True)
    if self.group.count > 1:  # the next step may reuse the arrays
      self.wait()

  def wait(self) -> None:
    """Until all that was saved is on disk. Orbax reports a full disk here and nowhere else."""
    if self._manager is not None:
      with faults(self.folder):
        self._manager.wait_until_finished()

  def notes(self, step: int) -> dict[str, Any]:
    """The notes of a checkpoint.

    Raises:
      Damage: notes that are not those that were saved.
    """
    with _quiet(), self._reading() as manager:
      meta = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
    if meta.pop('sha256', None) != seal(meta):
      raise Damage('its meta is not what was saved')
    return meta

  def read(self, step: int, like: Tree) -> tuple[Tree, dict[str, Any]]:
    """The tree that `like` asks for, of shapes and dtypes, with every byte checked, and the notes.

    Leaves that `like` does not ask for are left where they are.

    Raises:
      Damage: bytes that are not those that were saved.
      StoreError: a leaf of another shape or dtype: the code has changed under the run.
    """
    meta = self.notes(step)
    leaves, wanted = meta['leaves'], {_file_name(path): leaf for path, leaf in trees.by_path(like).items()}
    path = self.folder / str(step)
    for name, leaf in wanted.items():
      if name not in leaves:
        raise StoreError(f'{path} lacks {name}, which this code expects: it was written by other code; use another --out.')
      stored, now = (leaves[name]['dtype'], tuple(leaves[name]['shape'])), (str(leaf.dtype), tuple(leaf.shape))
      if stored != now:
        difference = f'holds {name} as {stored[0]}{stored[1]}, but this code expects {now[0]}{now[1]}'
        raise StoreError(f'{path} {difference}: it was written by other code; use another --out.')
    arrays = self.arrays(step, leaves, wanted)
    return jax.tree.unflatten(jax.tree.structure(like), list(arrays.values())), meta

  def arrays(self, step: int, leaves: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """The leaves of these names, every byte checked; `leaves` are those of the notes.

    Raises:
      Damage: bytes that are not those that were saved.
    """
    empty = {name: np.zeros(leaf['shape'], leaf['dtype']) for name, leaf in leaves.items()}
    with _quiet(), self._reading() as manager:
      stored = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(empty)))['state']
    arrays = {name: np.asarray(stored[name]) for name in wanted}
    for name, array in arrays.items():
      if not _is(array, leaves[name]):
        raise Damage(f'the bytes of {name} are not those that were saved')
    return arrays

  def set_aside(self, step: int, error: Exception, aside: pathlib.Path) -> None:
    """Moves a checkpoint that cannot be used to `aside`, for a look."""
    if not (self.folder / str(step)).exists():
      return
    aside.mkdir(exist_ok=True)
    target = next(t for i in range(10**6) if not (t := aside / f'{step}-{i}').exists())
    (self.folder / str(step)).rename(target)
    self.say(f'  checkpoint {step} cannot be used ({reason(error)}); it now lies in {target}, and the one before it is tried')

  def close(self) -> None:
    if self._manager is not None:
      if self.group.count == 1 or sys.exc_info()[0] is None:  # else the others would be waited for, in vain
        self._manager.close()
      self._manager = None

  def _open(self) -> ocp.CheckpointManager:
    if self._manager is None:
      keep = policy.AnyPreservationPolicy([policy.LatestN(KEEP), policy.CustomSteps(list(self._keep))])
      options = ocp.CheckpointManagerOptions(preservation_policy=keep, cleanup_tmp_directories=True)
      self._manager = ocp.CheckpointManager(self.folder.absolute(), options=options)
    return self._manager

  @contextlib.contextmanager
  def _reading(self) -> Iterator[ocp.CheckpointManager]:
    options = ocp.CheckpointManagerOptions(read_only=True)
    if self.group.count > 1:
      me = jax.process_index()
      options.multiprocessing_options = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f'p{me}'
      )
    with ocp.CheckpointManager(self.folder.absolute(), options=options) as manager:
      yield manager

  def _descriptions(self, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """What the notes say of each leaf; where processes share its members, a digest for each device's, by the first of them."""
    if self.group.count == 1:
      return {name: _description(leaf) for name, leaf in leaves.items()}
    digests = {name: {str(first): _digest(piece) for first, piece in parallel.pieces(leaf)} for name, leaf in leaves.items()}
    pieces = self.group.gathered(digests)
    return {
      name: {**_kind(leaf), 'pieces': {first: sha for each in pieces for first, sha in each[name].items()}}
      for name, leaf in leaves.items()
    }


def flatten(tree: Tree) -> dict[str, Any]:
  """Copies of all leaves on the host (the next step may reuse the originals), under names that are safe for files.

  Where processes share the members, the leaves themselves.
  """
  if not all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)):
    return {_file_name(path): leaf for path, leaf in trees.by_path(tree).items()}
  return {_file_name(path): np.array(leaf) for path, leaf in trees.by_path(jax.device_get(tree)).items()}


def _file_name(path: str) -> str:
  return path.replace('/', '.')


def _description(leaf: np.ndarray) -> dict[str, Any]:
  return {**_kind(leaf), 'sha256': _digest(leaf)}


def _kind(leaf: Any) -> dict[str, Any]:
  return {'shape': list(leaf.shape), 'dtype': str(leaf.dtype)}


def _digest(array: np.ndarray) -> str:
  return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _is(array: np.ndarray, description: Mapping[str, Any]) -> bool:
  """Whether an array is the one that was described."""
  if 'pieces' not in description:
    return _description(array) == dict(description)
  firsts = sorted(map(int, description['pieces']))
  pieces = {str(first): _digest(array[first:last]) for first, last in zip(firsts, [*firsts[1:], len(array)], strict=True)}
  return {**_kind(array), 'pieces': pieces} == dict(description)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Where orbax gives up on a damaged file, the reads it still has under way complain to a loop that is gone: not told.

  They may end long after the error has been raised, so then the hook stays.
  """
  before = sys.unraisablehook
  sys.unraisablehook = lambda args: None if 'Event loop is closed' in str(args.exc_value) else before(args)
  yield
  sys.unraisablehook = before
