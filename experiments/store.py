"""Runs on disk, addressed by content.

results/<identity>/
  run.json              config, members, versions, device, git state, every command that worked on it
  start/0               what never changes after the start: initial variables, what transforms drew
  checkpoints/<step>    what changes: the newest two and the milestones
  done.json             of the training, written when all before it is on disk and has been read back
  tables/<probe>-<id>/  Parquet parts of one probe with its fields and schedule, and a done.json of its own
  replay/               checkpoints of a replay that makes missing tables; gone when they are made
  damaged/              checkpoints that could not be used, kept for a look
  lock                  held by the process that works on the run, 'pid 12 on host'; empty when it has ended in order

Of several processes that run one program each writes the rows and the checkpoint of its own members, and the first does all else.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dynamics.types import Frozen, State
from experiments import checkpoints, tables
from experiments.disk import Damage, Held, StoreError, check_space, faults, reason, write_json
from experiments.processes import ALONE, Group, by_first


class Pass:
  """One pass through the steps of a run: the training itself, or a replay. Made by `opened`.

  All its methods leave a folder from which the pass can go on: table parts come first, then the checkpoint that names them. A
  kill between the two loses nothing: parts that no checkpoint names are dropped and made again.
  """

  def __init__(self, run: 'Run', place: str, names: Mapping[str, str], keep: tuple[int, ...]):
    self.run, self.names, self.group = run, dict(names), run.group  # probe -> name of its table
    self.checkpoints = checkpoints.Folder(run.folder / place, keep, run.say, run.group)
    self._pending: dict[str, list] = {}
    self._shapes: dict[str, dict] = {}
    self._parts: dict[str, str] = {}  # name -> sha256
    self._lost: list[pathlib.Path] = []  # parts that were damaged before this pass; they are made again after it
    self.since = time.monotonic()  # when it was last saved
    self._saved = -1  # the step of the newest checkpoint; parts hold the rows up to and with it

  def append(self, step: int, readings: Mapping[str, Any], members=None) -> None:
    """Takes readings of these members, of all by default, into memory; `save` writes them."""
    for probe, reading in readings.items():
      self._pending.setdefault(self.names[probe], []).append(tables.rows(step, reading, members))
      self._shapes[self.names[probe]] = tables.shapes(reading)

  def save(self, step: int, state: State) -> None:
    """Tables first, then the state. A step that is saved already is left as it is."""
    self.checkpoints.wait()
    if step == self._saved:
      return
    with faults(self.run.folder):
      leaves = checkpoints.flatten(state)
      rows = [column for series in self._pending.values() for row in series for column in row.values()]
      check_space(self.run.folder, [*leaves.values(), *rows])
      written, share = {}, f'-{self.group.index}' if self.group.count > 1 else ''
      for name, series in self._pending.items():
        if len(series[0]['step']):  # a process whose members all lie with another, too, has none
          path = tables.write(self.run.tables, name, self._saved + 1, step, series, self._shapes[name], share)
          written[str(path.relative_to(self.run.tables))] = tables.digest(path)
      for parts in self.group.gathered(written):
        self._parts |= parts
      self.checkpoints.save(step, leaves, {'parts': dict(self._parts), 'tables': self.names})
      self._pending, self._saved = {}, step

  def wait(self) -> None:
    self.checkpoints.wait()

  @by_first
  def newest(self) -> tuple[int, dict[str, str]] | None:
    """(step, probe -> table) of the newest checkpoint whose notes can be read, and the tables of which are whole.

    A checkpoint that cannot be read is moved to damaged/. A table with damaged parts goes on, and they are made again when the
    pass is done; one that has lost all, or lies with several processes, is left out and is made again as a whole.
    """
    for step in self.checkpoints.steps():
      try:
        notes = self.checkpoints.notes(step)
      except Exception as error:  # any fault of a damaged file: there are as many as file formats
        self.checkpoints.set_aside(step, error, self.run.folder / 'damaged')
        continue
      lost = set()
      for name, (damaged, parts) in tables.losses(self.run.tables, notes['parts']).items():
        if damaged < parts and self.group.count == 1:
          self.run.say(
            f'  {name}: {damaged} of {parts} parts are missing or damaged; they are made again when the others are done'
          )
        else:
          lost.add(name)
          self.run.say(f'  {name}: a part is missing or damaged; the table is made again')
      return step, {probe: name for probe, name in notes['tables'].items() if name not in lost}
    return None

  def restore(self, like: State) -> tuple[int, State] | None:
    """The newest checkpoint that can be read and has what `like` asks for (shapes and dtypes), or None.

    One whose bytes are not those that were saved is moved to damaged/, and the one before it is tried.

    Raises:
      StoreError: a readable checkpoint of another shape or dtype: the code has changed under the run.
    """
    states = []
    self._saved, self._parts = self.group.agreed(lambda: self._restored(like, states))
    if self._saved < 0:
      return None
    return self._saved, states[0] if states else _copy(self.run, self.checkpoints, self._saved, like)

  def _restored(self, like: State, states: list[State]) -> tuple[int, dict[str, str]]:
    """(step, parts) of what `restore` gives, or (-1, {}); the state is put into `states`."""
    with faults(self.run.folder):
      steps = self.checkpoints.steps()
      for step in steps:
        try:
          state, notes = self.checkpoints.read(step, like)
        except StoreError:
          raise
        except Exception as error:  # see `newest`
          self.checkpoints.set_aside(step, error, self.run.folder / 'damaged')
          continue
        self._parts = {part: sha for part, sha in notes['parts'].items() if part.split('/')[0] in self.names.values()}
        self._lost = tables.damaged(self.run.tables, self._parts)
        self._drop_others()
        states.append(state)
        return step, self._parts
      if steps:
        self.run.say('  no checkpoint is left: the run begins again')
      self._parts = {}
      self._drop_others()
      return -1, {}

  def read(self, step: int, like: State) -> State | None:
    """The state of a checkpoint; None, after moving it to damaged/, where its bytes are not those that were saved."""
    return _read_by_all(self.run, self.checkpoints, step, like)

  def finish(self, step: int, state: State) -> None:
    """The last checkpoint, read back with all table parts; then the done-markers of the tables."""
    self.save(step, state)
    self.wait()
    self._check(step, state)
    self.mark_done()

  @by_first
  def _check(self, step: int, state: State) -> None:
    with faults(self.run.folder):
      try:
        self.checkpoints.read(step, state)
        lost = set(tables.damaged(self.run.tables, self._parts)) - set(self._lost)
        if lost:
          raise Damage(f'its table part {min(lost)} is missing or damaged')
      except Exception as error:  # see `newest`
        raise StoreError(f'{self.run.folder}: {reason(error)}; the disk does not keep what is written to it.') from error

  @by_first
  def mark_done(self) -> None:
    """The done-markers of the tables alone."""
    for name in self.names.values():
      parts = {part.split('/')[1]: sha for part, sha in self._parts.items() if part.split('/')[0] == name}
      with faults(self.run.folder):
        (self.run.tables / name).mkdir(parents=True, exist_ok=True)
      write_json(self.run.tables / name / 'done.json', {'parts': parts})

  def _drop_others(self) -> None:
    """Half-written parts of these tables, and those past a step that is resumed from, whose rows come again."""
    for name in self.names.values():
      tables.keep_only(self.run.tables, name, self._parts)

  def close(self) -> None:
    self.checkpoints.close()


class Run:
  """One run's folder: to look at, or, from `opened`, to work on."""

  def __init__(self, folder: pathlib.Path, milestones: tuple[int, ...], say, group: Group = ALONE):
    self.folder, self.milestones, self.say, self.group = folder, milestones, say, group
    self.tables = folder / 'tables'
    self._start = checkpoints.Folder(folder / 'start', (0,), say, group)

  def training(self, names: Mapping[str, str]) -> Pass:
    """The pass that trains and makes these tables, probe -> name."""
    return Pass(self, 'checkpoints', names, self.milestones)

  def archive(self) -> Pass:
    """The checkpoints of a finished training, to read and to add milestones to: none of them goes."""
    return Pass(self, 'checkpoints', {}, (*self.milestones, *self.checkpoint_steps()))

  def replay(self, names: Mapping[str, str]) -> Pass:
    """A pass that makes these tables of a finished training."""
    return Pass(self, 'replay', names, ())

  @by_first
  def checkpoint_steps(self) -> list[int]:
    """The steps of the training's checkpoints, the newest first."""
    return checkpoints.Folder(self.folder / 'checkpoints', (), self.say).steps()

  @by_first
  def missing(self, names: Mapping[str, str]) -> dict[str, str]:
    """Those of the tables, probe -> name, that are not done and whole."""
    return {probe: name for probe, name in names.items() if not tables.is_whole(self.tables / name)}

  def holes(self, names: Mapping[str, str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Probe -> part -> (first, last) of the parts that are lost in tables that are whole but for them.

    None where processes share the members: there the whole table is made again.
    """
    if self.group.count > 1:
      return {}
    with faults(self.folder):
      return {probe: lost for probe, name in names.items() if (lost := tables.holes(self.tables / name))}

  def fill(self, name: str, part: str, steps: Mapping[int, Any]) -> bool:
    """Writes a lost part again, step -> reading. Whether it has the bytes that it had: with others the table is not whole."""
    first, last = tables.steps(part)
    with faults(self.folder):
      series = [tables.rows(step, reading) for step, reading in steps.items()]
      check_space(self.folder, [column for row in series for column in row.values()])
      tables.write(self.tables, name, first, last, series, tables.shapes(next(iter(steps.values()))))
      return part not in tables.holes(self.tables / name)

  def save_start(self, frozen: Frozen) -> None:
    if not self.group.agreed(self._start.steps):
      with faults(self.folder):
        self._start.save(0, checkpoints.flatten(frozen), {})
        self._start.wait()

  def read_start(self, like: Frozen) -> Frozen | None:
    """What was saved at the start; None where there is nothing that can be read."""
    return _read_by_all(self, self._start, 0, like) if self.group.agreed(self._start.steps) else None

  @by_first
  def finish(self, step: int, summary: Mapping[str, Any]) -> None:
    """The done-marker of the training."""
    write_json(self.folder / 'done.json', {'step': step, **summary})

  @by_first
  def end_replay(self) -> None:
    """Removes the checkpoints of a replay."""
    shutil.rmtree(self.folder / 'replay', ignore_errors=True)

  def close(self) -> None:
    self._start.close()


@contextlib.contextmanager
def opened(folder: pathlib.Path, milestones: tuple[int, ...], say, group: Group = ALONE) -> Iterator[Run]:
  """The run in `folder`, locked against other processes. The system drops the lock of a process that dies.

  Raises:
    Held: another process works on it.
    StoreError: the disk refuses.
  """
  with contextlib.ExitStack() as stack:
    group.agreed(lambda: stack.enter_context(_locked(folder, say)))
    run = Run(folder, milestones, say, group)
    try:
      yield run
    finally:
      run.close()


def _read_by_all(run: Run, place: checkpoints.Folder, step: int, like):
  """A checkpoint, read by the first process and, where it is whole, by the others; None where it has been set aside."""
  trees = []

  def read() -> bool:
    with faults(run.folder):
      try:
        trees.append(place.read(step, like)[0])
        return True
      except StoreError:
        raise
      except Exception as error:  # see `Pass.newest`
        place.set_aside(step, error, run.folder / 'damaged')
        return False

  whole = run.group.agreed(read)
  return (trees[0] if trees else _copy(run, place, step, like)) if whole else None


def _copy(run: Run, place: checkpoints.Folder, step: int, like):
  """What the first process has read and found whole, in another one."""
  with faults(run.folder):
    try:
      return place.read(step, like)[0]
    except checkpoints.Damage as error:
      raise StoreError(
        f'{place.folder / str(step)}: {error}, though the first process reads it: is the folder shared?'
      ) from error


@contextlib.contextmanager
def _locked(folder: pathlib.Path, say) -> Iterator[None]:
  with faults(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT, 0o644)
  try:
    with faults(folder):
      try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError as error:
        raise Held(folder, _text(lock) or 'a process that has just begun') from error
      before = _text(lock)
      os.ftruncate(lock, 0)
      os.pwrite(lock, f'pid {os.getpid()} on {socket.gethostname()}'.encode(), 0)
    if ' on ' in before:  # who ends in order leaves it empty
      say(f'  {folder.name} was held by {before}, which has died: taken over')
    try:
      yield
    finally:
      with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
  finally:
    os.close(lock)


def _text(lock: int) -> str:
  return os.pread(lock, 300, 0).decode(errors='replace')
