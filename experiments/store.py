"""Runs on disk, addressed by content. The only module that knows orbax.

results/<identity>/
  run.json           config, members, versions, device, layout, git state, every command that worked on it
  checkpoints/<step> orbax, the newest two and the milestones
  tables/<probe>/    Parquet parts
  done.json          written last, when everything before it is on disk and has been read back
  damaged/           checkpoints that could not be read, kept for a look
  lock               held by the process that works on the run
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import absl.logging
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as policy

from dynamics import trees
from dynamics.train import State
from experiments import tables

KEEP = 2  # newest checkpoints kept

absl.logging.set_verbosity(absl.logging.ERROR)  # orbax warns of what is meant here, such as reading only


class StoreError(RuntimeError):
  """A sentence about the disk, the lock or a stored run."""


class Run:
  """One run's folder, open for work. Made by `opened`; all its methods leave a folder from which a run can go on."""

  def __init__(self, folder: pathlib.Path, milestones: tuple[int, ...], say):
    self.folder, self.say = folder, say
    self.bytes_of_tables = 0
    self._pending: dict[str, list] = {}
    self._first = 0  # the first step whose rows no part holds yet
    self._milestones = milestones
    self._manager: ocp.CheckpointManager | None = None

  def append(self, step: int, readings: Mapping[str, Any]) -> None:
    """Takes readings into memory; `save` writes them."""
    for probe, reading in readings.items():
      self._pending.setdefault(probe, []).append(tables.rows(step, reading))

  def save(self, step: int, state: State) -> None:
    """Tables first, then the state, which goes to disk while training goes on. A kill between the two loses nothing:
    the parts past the newest checkpoint are dropped and made again."""
    self.wait()
    for probe, some in self._pending.items():
      self.bytes_of_tables += tables.write(self.folder / 'tables', probe, self._first, step, some)
    self._pending, self._first = {}, step + 1
    leaves = _leaves(state)
    meta = {name: _description(leaf) for name, leaf in leaves.items()}
    args = ocp.args.Composite(state=ocp.args.StandardSave(leaves), meta=ocp.args.JsonSave(meta))
    self._checkpoints().save(step, args=args, force=True)

  def wait(self) -> None:
    """Until the last state is on disk. Orbax reports a full disk here and nowhere else."""
    if self._manager is not None:
      self._manager.wait_until_finished()

  def restore(self, like: State) -> tuple[int, State] | None:
    """The newest checkpoint that can be read and matches `like` (shapes and dtypes), or None.

    A checkpoint that cannot be read, or whose bytes are not those that were saved, is moved to damaged/, and the one
    before it is tried.

    Raises:
      StoreError: a readable checkpoint of another shape or dtype: the code has changed under the run.
    """
    folder = self.folder / 'checkpoints'
    steps = sorted((int(p.name) for p in folder.glob('*') if p.name.isdigit()), reverse=True)
    for step in steps:
      try:
        state = _read(folder / str(step), like)
      except StoreError:
        raise
      except Exception as error:  # any fault of a damaged file: there are as many as file formats
        self._set_aside(folder / str(step), error)
        continue
      tables.drop_after(self.folder / 'tables', step)
      self._first = step + 1
      return step, state
    shutil.rmtree(self.folder / 'tables', ignore_errors=True)
    return None

  def finish(self, step: int, state: State, summary: Mapping[str, Any]) -> None:
    """The last checkpoint, read back, then the done-marker."""
    self.save(step, state)
    self.wait()
    _read(self.folder / 'checkpoints' / str(step), state)
    write_json(self.folder / 'done.json', {'step': step, **summary})

  def close(self) -> None:
    if self._manager is not None:
      self._manager.close()

  def _checkpoints(self) -> ocp.CheckpointManager:
    if self._manager is None:
      keep = policy.AnyPreservationPolicy([policy.LatestN(KEEP), policy.CustomSteps(list(self._milestones))])
      options = ocp.CheckpointManagerOptions(preservation_policy=keep, cleanup_tmp_directories=True)
      self._manager = ocp.CheckpointManager((self.folder / 'checkpoints').absolute(), options=options)
    return self._manager

  def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
    aside = self.folder / 'damaged'
    aside.mkdir(exist_ok=True)
    target = aside / f'{path.name}-{len(list(aside.iterdir()))}'
    path.rename(target)
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    self.say(f'checkpoint {path.name} cannot be used ({reason}); it now lies in {target}, and the one before it is tried.')


@contextlib.contextmanager
def opened(folder: pathlib.Path, milestones: tuple[int, ...], say) -> Iterator[Run]:
  """The run in `folder`, locked against other processes.

  Raises:
    StoreError: another process works on it, or the disk refuses.
  """
  with disk(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / 'lock').open('a+')
  try:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      lock.seek(0)
      holder = lock.read().strip() or 'unknown'
      raise StoreError(f'{folder} is being worked on by another process ({holder}); wait for it or stop it.') from error
    lock.truncate(0)
    lock.write(f'pid {os.getpid()}')
    lock.flush()
    run = Run(folder, milestones, say)
    try:
      with disk(folder):
        yield run
    finally:
      with contextlib.suppress(Exception):  # an error of the body is the one to be heard
        run.close()
  finally:
    lock.close()


@contextlib.contextmanager
def disk(folder: pathlib.Path) -> Iterator[None]:
  """Turns the faults of a disk into sentences."""
  try:
    yield
  except StoreError:
    raise
  except Exception as error:
    text = str(error)
    full = getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = full or any(words in text for words in ('No space left', 'RESOURCE_EXHAUSTED', 'Disk quota', 'File too large'))
    if full:
      raise StoreError(f'the disk of {folder} is full: free some space and give the same command again to go on.') from error
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
      raise StoreError(f'{folder} cannot be written ({error.strerror}): choose another folder with --out.') from error
    raise


def is_done(folder: pathlib.Path) -> bool:
  return (folder / 'done.json').is_file()


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON file; one that is cut short is a StoreError with its name."""
  try:
    return json.loads(path.read_text())
  except (ValueError, OSError) as error:
    raise StoreError(f'{path} cannot be read ({error}): remove {path.parent} to make the run again.') from error


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
  """Whole or not at all."""
  temporary = path.with_suffix('.tmp')
  with temporary.open('w') as file:
    json.dump(content, file, indent=1)
    file.flush()
    os.fsync(file.fileno())
  temporary.rename(path)


def _leaves(state: State) -> dict[str, np.ndarray]:
  """Host copies of all leaves, under names that are safe as file names."""
  return {path.replace('/', '.'): np.asarray(leaf) for path, leaf in trees.by_path(jax.device_get(state)).items()}


def _description(leaf: np.ndarray) -> dict[str, Any]:
  digest = hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
  return {'shape': list(leaf.shape), 'dtype': str(leaf.dtype), 'sha256': digest}


def _read(path: pathlib.Path, like: State) -> State:
  wanted = {p.replace('/', '.'): leaf for p, leaf in trees.by_path(like).items()}
  path = path.absolute()
  with ocp.CheckpointManager(path.parent, options=ocp.CheckpointManagerOptions(read_only=True)) as manager:
    meta = manager.restore(int(path.name), args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
    for name in sorted(set(meta) ^ set(wanted)):
      raise StoreError(f'{path} {"has" if name in meta else "lacks"} {name}, which this code does not expect: '
                       f'it was written by other code; use another --out.')  # fmt: skip
    for name, leaf in wanted.items():
      stored, now = (meta[name]['dtype'], tuple(meta[name]['shape'])), (str(leaf.dtype), tuple(leaf.shape))
      if stored != now:
        raise StoreError(f'{path} holds {name} as {stored[0]}{stored[1]}, but this code expects {now[0]}{now[1]}.')
    empty = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in wanted.items()}
    leaves = manager.restore(int(path.name), args=ocp.args.Composite(state=ocp.args.StandardRestore(empty)))['state']
  for name, leaf in leaves.items():
    if _description(np.asarray(leaf)) != meta[name]:
      raise ValueError(f'the bytes of {name} are not those that were saved')
  return jax.tree.unflatten(jax.tree.structure(like), [np.asarray(leaves[name]) for name in wanted])
