"""Runs on disk, addressed by content. The only module that knows orbax.

results/<identity>/
  run.json           config, members, versions, device, git state, every command that worked on it
  checkpoints/<step> orbax, the newest two and the milestones; each names the table parts it goes with
  tables/<probe>/    Parquet parts
  done.json          written last, when everything before it is on disk and has been read back
  damaged/           checkpoints that could not be used, kept for a look
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
import sys
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
SPARE = 2**16  # bytes beside the arrays that a checkpoint takes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_WORDS = ('No space left', 'RESOURCE_EXHAUSTED', 'Disk quota', 'File too large')  # where orbax and duckdb hide the number
SHUT_WORDS = ('Read-only file system', 'Permission denied', 'Not a directory')

absl.logging.set_verbosity(absl.logging.FATAL)  # orbax warns of what is meant here, and what fails is told as a sentence


class StoreError(RuntimeError):
  """A sentence about the disk, the lock or a stored run."""


class Damage(Exception):
  """A stored file whose bytes are not those that were saved."""


class Run:
  """One run's folder, open for work. Made by `opened`; all its methods leave a folder from which a run can go on."""

  def __init__(self, folder: pathlib.Path, milestones: tuple[int, ...], say):
    self.folder, self.say = folder, say
    self._tables = folder / 'tables'
    self._pending: dict[str, list] = {}
    self._parts: dict[str, str] = {}  # name -> sha256
    self._saved = -1  # the step of the newest checkpoint; parts hold the rows up to and with it
    self._milestones = milestones
    self._manager: ocp.CheckpointManager | None = None

  def append(self, step: int, readings: Mapping[str, Any]) -> None:
    """Takes readings into memory; `save` writes them."""
    for probe, reading in readings.items():
      self._pending.setdefault(probe, []).append(tables.rows(step, reading))

  def save(self, step: int, state: State) -> None:
    """Tables first, then the state, which goes to disk while training goes on. A kill between the two loses nothing:
    parts that no checkpoint names are dropped and made again. A step that is saved already is left as it is."""
    self.wait()
    if step == self._saved:
      return
    with disk(self.folder):
      leaves = _leaves(state)
      rows = [column for some in self._pending.values() for row in some for column in row.values()]
      _check_space(self.folder, [*leaves.values(), *rows])
      for probe, some in self._pending.items():
        path = tables.write(self._tables, probe, self._saved + 1, step, some)
        self._parts[str(path.relative_to(self._tables))] = tables.digest(path)
      meta = {'leaves': {name: _description(leaf) for name, leaf in leaves.items()}, 'parts': dict(self._parts)}
      args = ocp.args.Composite(state=ocp.args.StandardSave(leaves), meta=ocp.args.JsonSave({**meta, 'sha256': _seal(meta)}))
      self._checkpoints().save(step, args=args, force=True)
      self._pending, self._saved = {}, step

  def wait(self) -> None:
    """Until the last state is on disk. Orbax reports a full disk here and nowhere else."""
    if self._manager is not None:
      with disk(self.folder):
        self._manager.wait_until_finished()

  def restore(self, like: State) -> tuple[int, State] | None:
    """The newest checkpoint that can be read and matches `like` (shapes and dtypes), or None.

    A checkpoint that cannot be read, or whose bytes or table parts are not those that were saved, is moved to damaged/,
    and the one before it is tried.

    Raises:
      StoreError: a readable checkpoint of another shape or dtype: the code has changed under the run.
    """
    with disk(self.folder):
      folder = self.folder / 'checkpoints'
      steps = sorted((int(p.name) for p in folder.glob('*') if p.name.isdigit()), reverse=True)
      for step in steps:
        try:
          with _quiet():
            state, parts = _read(folder / str(step), like)
          _check_parts(self._tables, parts)
        except StoreError:
          raise
        except Exception as error:  # any fault of a damaged file: there are as many as file formats
          self._set_aside(folder / str(step), error)
          continue
        tables.keep_only(self._tables, parts)
        self._parts, self._saved = parts, step
        return step, state
      if steps:
        self.say('  no checkpoint is left: the run begins again')
      tables.keep_only(self._tables, ())
      return None

  def finish(self, step: int, state: State, summary: Mapping[str, Any]) -> None:
    """The last checkpoint, read back with all table parts, then the done-marker."""
    self.save(step, state)
    self.wait()
    with disk(self.folder):
      try:
        _check_parts(self._tables, _read(self.folder / 'checkpoints' / str(step), state)[1])
      except Exception as error:  # see `restore`
        raise StoreError(f'{self.folder}: {_reason(error)}; the disk does not keep what is written to it.') from error
    write_json(self.folder / 'done.json', {'step': step, **summary, 'parts': self._parts})

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
    target = next(t for i in range(10**6) if not (t := aside / f'{path.name}-{i}').exists())
    path.rename(target)
    self.say(
      f'  checkpoint {path.name} cannot be used ({_reason(error)}); it now lies in {target}, and the one before it is tried'
    )


@contextlib.contextmanager
def opened(folder: pathlib.Path, milestones: tuple[int, ...], say) -> Iterator[Run]:
  """The run in `folder`, locked against other processes. The system drops the lock of a process that dies.

  Raises:
    StoreError: another process works on it, or the disk refuses.
  """
  with disk(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT, 0o644)
  try:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      holder = os.read(lock, 100).decode() or 'unknown'
      raise StoreError(f'{folder} is being worked on by another process ({holder}): wait for it or stop it.') from error
    with disk(folder):
      os.ftruncate(lock, 0)
      os.write(lock, f'pid {os.getpid()}'.encode())
    run = Run(folder, milestones, say)
    try:
      yield run
    finally:
      with contextlib.suppress(Exception):  # an error of the body is the one to be heard
        run.close()
  finally:
    os.close(lock)


@contextlib.contextmanager
def disk(folder: pathlib.Path) -> Iterator[None]:
  """Turns the faults of a disk into sentences."""
  try:
    yield
  except StoreError:
    raise
  except Exception as error:
    number, text = getattr(error, 'errno', None), str(error)
    if number in FULL or any(words in text for words in FULL_WORDS):
      raise StoreError(f'the disk of {folder} is full: free some space and give the same command again to go on.') from error
    if isinstance(error, OSError) or any(words in text for words in SHUT_WORDS):
      reason = getattr(error, 'strerror', None) or next((words for words in SHUT_WORDS if words in text), text)
      raise StoreError(f'{folder} cannot be used ({reason}): mend it, or choose another folder with --out.') from error
    raise


def is_done(folder: pathlib.Path) -> bool:
  return (folder / 'done.json').is_file()


def read_done(folder: pathlib.Path) -> dict[str, Any]:
  """The done-marker of a finished run, whose tables are then whole.

  Raises:
    StoreError: a table part that is missing or holds other bytes than were written.
  """
  done = read_json(folder / 'done.json')
  with disk(folder):
    for path in tables.damaged(folder / 'tables', done['parts']):
      again = f'remove {folder / "done.json"} and give the same command again to make its rows again'
      raise StoreError(f'{path} is missing or damaged, though its run is done: {again}.')
  return done


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON file; one that is cut short is a StoreError with its name."""
  try:
    return json.loads(path.read_text())
  except (ValueError, OSError) as error:
    raise StoreError(f'{path} cannot be read ({error}): remove it and give the same command again to go on.') from error


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
  """Whole or not at all."""
  temporary = path.with_suffix('.tmp')
  with disk(path.parent):
    with temporary.open('w') as file:
      json.dump(content, file, indent=1)
      file.flush()
      os.fsync(file.fileno())
    temporary.rename(path)
    tables.sync(path.parent)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Where orbax gives up on a damaged file, the reads it still has under way complain to a loop that is gone: not told."""
  before = sys.unraisablehook
  sys.unraisablehook = lambda args: None if 'Event loop is closed' in str(args.exc_value) else before(args)
  try:
    yield
  finally:
    sys.unraisablehook = before


def _reason(error: Exception) -> str:
  """The first line of an error, cut where a library tells its whole story."""
  return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def _leaves(state: State) -> dict[str, np.ndarray]:
  """Copies of all leaves on the host (the next step may reuse the originals), under names that are safe for files."""
  return {path.replace('/', '.'): np.array(leaf) for path, leaf in trees.by_path(jax.device_get(state)).items()}


def _description(leaf: np.ndarray) -> dict[str, Any]:
  digest = hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
  return {'shape': list(leaf.shape), 'dtype': str(leaf.dtype), 'sha256': digest}


def _seal(meta: Mapping[str, Any]) -> str:
  return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _check_space(folder: pathlib.Path, arrays) -> None:
  """Before anything is written: a disk that fills up half-way costs more than a look."""
  needed, free = sum(array.nbytes for array in arrays) + SPARE, shutil.disk_usage(folder).free
  if free < needed:
    raise OSError(errno.ENOSPC, f'{needed} bytes are needed and {free} free')


def _check_parts(folder: pathlib.Path, parts: Mapping[str, str]) -> None:
  for path in tables.damaged(folder, parts):
    raise Damage(f'its table part {path} is missing or damaged')


def _read(path: pathlib.Path, like: State) -> tuple[State, dict[str, str]]:
  """The state of a checkpoint and the table parts that go with it, every byte checked."""
  wanted = {p.replace('/', '.'): leaf for p, leaf in trees.by_path(like).items()}
  path = path.absolute()
  with ocp.CheckpointManager(path.parent, options=ocp.CheckpointManagerOptions(read_only=True)) as manager:
    meta = manager.restore(int(path.name), args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
    if meta.pop('sha256', None) != _seal(meta):
      raise Damage('its meta is not what was saved')
    leaves = meta['leaves']
    for name in sorted(set(leaves) ^ set(wanted)):
      what = 'holds {}, which this code does not expect' if name in leaves else 'lacks {}, which this code expects'
      raise StoreError(f'{path} {what.format(name)}: it was written by other code; use another --out.')
    for name, leaf in wanted.items():
      stored, now = (leaves[name]['dtype'], tuple(leaves[name]['shape'])), (str(leaf.dtype), tuple(leaf.shape))
      if stored != now:
        told = f'holds {name} as {stored[0]}{stored[1]}, but this code expects {now[0]}{now[1]}'
        raise StoreError(f'{path} {told}: it was written by other code; use another --out.')
    empty = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in wanted.items()}
    found = manager.restore(int(path.name), args=ocp.args.Composite(state=ocp.args.StandardRestore(empty)))['state']
  for name in wanted:
    if _description(np.asarray(found[name])) != leaves[name]:
      raise Damage(f'the bytes of {name} are not those that were saved')
  return jax.tree.unflatten(jax.tree.structure(like), [np.asarray(found[name]) for name in wanted]), meta['parts']
