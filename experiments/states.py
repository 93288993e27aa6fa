"""States of a run in a store: which files a run's folder holds, by digest.

<address>/<identity>/
  files/<sha256>               the bytes of any file of the run, under their own digest: never changed
  state-0.json, state-1.json   what the run's folder looked like, in turn: {serial, files: path -> sha256}, sealed
  lease.json                   who works on it: `experiments.lease`

A state is written when all that it names has arrived, so every state is whole, also the one before where the newest is cut
short or a store answers with an old one.
"""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from dynamics import sealed
from experiments.checkpoints import KEEP
from experiments.disk import Damage, faults, read_json, sync, write_json
from experiments.remote import Remote, each

STEPS = ('start', 'checkpoints', 'replay')  # folders of steps; each step is taken as a whole
TRIES = 5  # looks at a folder whose files change between listing and reading

Files = Mapping[str, str]  # path in the run's folder -> sha256


class State(NamedTuple):
  """One state of a run."""

  serial: int
  files: Files

  @property
  def done(self) -> bool:
    return 'done.json' in self.files

  @property
  def reached(self) -> tuple[bool, int]:
    """How far the training is: (done, step of its newest checkpoint)."""
    steps = [int(path.split('/')[1]) for path in self.files if path.startswith('checkpoints/')]
    return self.done, max(steps, default=-1)


NOTHING = State(0, {})


def read(remote: Remote, run: str, say: Callable[[str], None] | None = None) -> tuple[State, State]:
  """(newest, the one before) of a run in a store; `NOTHING` where there is none. A damaged one is left out, and told."""
  states = []
  for number in (0, 1):
    content = remote.read(_name(run, number))
    if content is None:
      continue
    state = _parsed(content)
    if state is not None:
      states.append(state)
    elif say is not None:
      say(f'  {_name(run, number)} in the mirror is damaged: the other state of the run holds')
  newest, before = sorted([*states, NOTHING, NOTHING], reverse=True, key=lambda state: state.serial)[:2]
  return newest, before


def _parsed(content: bytes) -> State | None:
  """The state that a store holds; None where it is cut short or damaged."""
  try:
    block = json.loads(content)
    whole = block.pop('sha256', None) == sealed.seal(block) and all(map(_safe, block['files']))
    return State(block['serial'], block['files']) if whole else None
  except (ValueError, AttributeError, KeyError, TypeError):
    return None


def write(remote: Remote, run: str, state: State) -> None:
  """Makes it the newest one. All that it names must have arrived."""
  content = sealed.sealed({'serial': state.serial, 'files': dict(state.files)})
  remote.write(_name(run, state.serial % 2), content.encode())


def object_name(run: str, sha256: str) -> str:
  return f'{run}/files/{sha256}'


def of_folder(folder: pathlib.Path, milestones: Collection[int], named: Files, digests: dict) -> Files:
  """What a run's folder holds now, also while it is worked on.

  Markers are listed before what they speak of, and checkpoints before the parts that they name, which are there before them.
  Of checkpoints it takes the newest two and milestones, and those that `named` has whole: others may be about to go.

  Args:
    milestones: steps whose checkpoints stay.
    named: the files of the state before.
    digests: of files that were read before, which this adds to: (path, length, time) -> sha256.
  """
  for attempt in range(TRIES):
    try:
      paths = [p for pattern in ('done.json', 'run.json', 'tables/*/done.json') for p in folder.glob(pattern)]
      for place in STEPS:
        steps = sorted((int(p.name) for p in (folder / place).glob('*') if p.name.isdigit()), reverse=True)
        for step in steps:
          inside = [p for p in (folder / place / str(step)).rglob('*') if p.is_file()]
          before = {path for path in named if path.startswith(f'{place}/{step}/')}
          if step in steps[:KEEP] or step in milestones or before == {p.relative_to(folder).as_posix() for p in inside}:
            paths += inside
      paths += folder.glob('tables/*/*.parquet')
      return {path.relative_to(folder).as_posix(): digest(path, digests) for path in paths}
    except FileNotFoundError:  # it has gone on meanwhile
      if attempt == TRIES - 1:
        raise
  raise AssertionError


def digest(path: pathlib.Path, digests: dict) -> str:
  """The sha256 of a file, read again only where it has changed."""
  stat = path.stat()
  key = (str(path), stat.st_size, stat.st_mtime_ns)
  if key not in digests:
    with path.open('rb') as file:
      digests[key] = hashlib.file_digest(file, 'sha256').hexdigest()
  return digests[key]


def take(remote: Remote, run: str, state: State, folder: pathlib.Path, here: Files, say: Callable[[str], None]) -> set[str]:
  """Brings what a state has and a run's folder, with the files `here`, lacks, into the folder; gives damaged digests.

  Nothing of a folder that is further goes. Every byte is checked before it gets its name; a checkpoint or a table of which a
  part is damaged is left out, and so is the done-marker of a run without all of its checkpoints: the run makes it again. The
  caller holds the run's lock.
  """
  mine = State(0, here).reached
  if state.reached < mine:  # its whole tables alone
    whole = {path.rpartition('/')[0] for path in state.files if path.startswith('tables/') and path.endswith('/done.json')}
    wanted = {p: sha for p, sha in state.files.items() if p.rpartition('/')[0] in whole}
  else:
    wanted = dict(state.files)
  held = {_unit(path) for path in here} if state.reached <= mine else {_unit(path) for path in here if _is_step(path)}
  missing = {p: sha for p, sha in wanted.items() if here.get(p) != sha and (p == 'run.json' or _unit(p) not in held)}
  if not missing:
    return set()
  staged, damaged = folder / '.fetched', {}
  shutil.rmtree(staged, ignore_errors=True)

  def bring(item):
    try:
      remote.get(object_name(run, item[1]), staged / item[0], item[1])
    except Damage as error:
      damaged[item[0]] = error

  try:
    with faults(folder):
      staged.mkdir(parents=True)
      each(bring, missing.items())
      for unit in sorted({_unit(path) for path in damaged}):
        reason = next(error for path, error in damaged.items() if _unit(path) == unit)
        say(f'  {unit} in the mirror cannot be used ({reason}): it is left there, and what lies before it is taken')
      _place(staged, folder, missing, {_unit(path) for path in damaged}, state.files)
  finally:
    shutil.rmtree(staged, ignore_errors=True)
  return {missing[path] for path in damaged}


def _place(staged: pathlib.Path, folder: pathlib.Path, missing: Files, damaged: set[str], named: Files) -> None:
  """Gives files their names: parts, then the checkpoints that name them, then markers."""
  units = {_unit(path) for path in missing} - damaged
  if any(unit.split('/')[0] in ('start', 'checkpoints') for unit in damaged):
    units.discard('done.json')
  order = lambda unit: (unit == 'done.json', unit == 'run.json', unit.split('/')[0] in STEPS, unit)
  for unit in sorted(units, key=order):
    if unit == 'run.json':
      _place_record(staged, folder)
    elif unit.startswith('tables/'):
      paths = sorted((p for p in missing if _unit(p) == unit), key=lambda p: p.endswith('/done.json'))
      for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (staged / path).replace(folder / path)
      if f'{unit}/done.json' in paths:
        for part in [part for part in (folder / unit).glob('*.parquet') if f'{unit}/{part.name}' not in named]:
          part.unlink()  # of an older state of this folder: the same rows, cut otherwise
      sync(folder / unit)
    elif not (folder / unit).exists():
      (folder / unit).parent.mkdir(parents=True, exist_ok=True)
      (staged / unit).replace(folder / unit)
      sync((folder / unit).parent)


def _place_record(staged: pathlib.Path, folder: pathlib.Path) -> None:
  """run.json of the store, with the commands that only this folder's has after it."""
  record = read_json(staged / 'run.json')
  if (folder / 'run.json').is_file():
    others = [session for session in read_json(folder / 'run.json')['sessions'] if session not in record['sessions']]
    record['sessions'] += others
  write_json(folder / 'run.json', record)


def _unit(path: str) -> str:
  """What is taken as a whole: 'checkpoints/120', 'tables/norms-1', or a file."""
  head, *rest = path.split('/')
  return f'{head}/{rest[0]}' if rest and head in (*STEPS, 'tables') else path


def _is_step(path: str) -> bool:
  return path.split('/')[0] in STEPS


def _safe(path: str) -> bool:
  """Whether a path stays in the run's folder."""
  pure = pathlib.PurePosixPath(path)
  return not pure.is_absolute() and '..' not in pure.parts and str(pure) == path


def _name(run: str, number: int) -> str:
  return f'{run}/state-{number}.json'
