"""Stored runs as they are read: from their folders alone, without their locks, also while they are worked on."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis import tables
from dynamics import frames, plan
from dynamics.plan import Cell, Config
from experiments import markers
from experiments.disk import StoreError, faults, read_json, reason

TRIES = 5  # looks at a run whose files change between listing and reading


class Loaded(NamedTuple):
  """A stored run. m members; arrays are numpy's."""

  folder: pathlib.Path
  state: str  # 'running', 'stopped' or 'done'
  config: Config  # resolved: of the training, without hyper values, seeds and probes
  settings: 'pandas.DataFrame'  # noqa: F821  # a row a member: seed, hyper values, swept fields
  step: int  # of the variables
  steps: tuple[int, ...]  # whose checkpoints are there
  variables: 'Variables'  # noqa: F821  # leaves (m, ...): the collections that training changes
  initial: 'Variables'  # noqa: F821  # (m, ...): the same at step 0
  frozen: Mapping[str, Any]  # (m, ...): what transforms drew
  tables: Mapping[str, 'pandas.DataFrame']  # noqa: F821  # probe -> a row a (member, step), see `dynamics.frames.tidy`
  arrays: Mapping[str, 'xarray.Dataset']  # noqa: F821  # probe -> dimensions (member, step, ...), see `dynamics.frames.arrays`
  summary: Mapping[str, Any]  # of a training that is done: its last step, members that diverged, seconds by part; else {}

  def member(self, i: int) -> 'Variables':  # noqa: F821
    """All variables of one member, as a `Model` is applied to them."""
    row = lambda tree: {n: row(v) for n, v in tree.items()} if isinstance(tree, Mapping) else tree[i]
    return row({**self.variables, 'initial': self.initial['params'], 'frozen': self.frozen})


def load(source, step: int | None, out: str | pathlib.Path, changes: Mapping[str, Any], address: str = '') -> Any:
  """See `experiments.load`."""
  from experiments import files, mirror  # here and below: a look at runs needs neither these nor jax

  if address and isinstance(source, (str, pathlib.Path)) and not files.is_file(source):
    folder = pathlib.Path(source).expanduser()
    mirror.fetch(address, [folder.name], folder.parent, print)
  if isinstance(source, (str, pathlib.Path)) and pathlib.Path(source).expanduser().is_dir():
    return load_run(pathlib.Path(source).expanduser(), step)
  cells, out = _cells(source, changes), pathlib.Path(out).expanduser()
  if address:
    mirror.fetch(address, map(plan.identity, cells), out, print)
  absent = [cell for cell in cells if not (out / plan.identity(cell) / 'run.json').is_file()]
  if absent:
    named = source if isinstance(source, (str, pathlib.Path)) else 'FILE'
    text = f'{len(absent)} of {len(cells)} runs of this config are not in {out}, the first of them {plan.identity(absent[0])}'
    raise StoreError(f'{text}: make them with python -m experiments.run --config={named}, or load single folders.')
  return tuple(load_run(out / plan.identity(cell), step, cell) for cell in cells)


def load_run(folder: pathlib.Path, step: int | None = None, cell: Cell | None = None) -> Loaded:
  """The run in a folder; of a `cell`, its own tables under the names of its probes."""
  if not (folder / 'run.json').is_file():
    runs = sorted(path.parent.name for path in folder.glob('*/run.json'))
    several = f'it holds {len(runs)} runs, {", ".join(runs[:5])}{", ..." * (len(runs) > 5)}: name one of them'
    raise StoreError(f'{folder} is not the folder of a run; {several if runs else "it has no run.json"}.')
  with faults(folder):
    return consistent(folder, lambda: _read(folder, step, cell))


def consistent(folder: pathlib.Path, read: Callable[[], Any]) -> Any:
  """What `read` gives; again where it fails and the run has gone on meanwhile."""
  for attempt in range(TRIES):
    before = _listing(folder)
    try:
      return read()
    except (StoreError, OSError):
      if attempt == TRIES - 1 or _listing(folder) == before:
        raise


def state(folder: pathlib.Path) -> str:
  """'running' while a process works on it, 'done' where its training is, else 'stopped'."""
  if markers.holder(folder) is not None:
    return 'running'
  return 'done' if markers.is_done(folder) else 'stopped'


def parts(folder: pathlib.Path, step: int | None) -> dict[str, dict[pathlib.Path, str]]:
  """Table -> its parts so far, path -> sha256: those that its done.json names, or the checkpoint of `step`.

  Args:
    step: of the newest checkpoint of a training that goes on; None of one that is done.

  Raises:
    StoreError: a marker or a checkpoint that is not as it was written.
  """
  place, named, done = folder / 'tables', {}, {}
  for path in place.glob('*/done.json'):
    done[path.parent.name] = {path.parent / part: digest for part, digest in read_json(path)['parts'].items()}
  saved = folder / ('replay' if step is None else 'checkpoints')
  newest = next(iter(markers.steps(saved)), None) if step is None else step
  for part, digest in _notes(_checkpoints(saved), newest)['parts'].items() if newest is not None else ():
    named.setdefault(part.split('/')[0], {})[place / part] = digest
  return {**named, **done} if step is None else {**done, **named}


def by_probe(folder: pathlib.Path, step: int | None, cell: Cell | None = None) -> dict[str, dict[pathlib.Path, str]]:
  """Probe -> the `parts` of its table. Where no cell says which one is meant, tables that share a probe keep their own names."""
  of_table = {name: dict(sorted(of.items())) for name, of in sorted(parts(folder, step).items()) if of}
  if cell is not None:
    names = {probe: plan.table_identity(cell, probe) for probe in cell.probes}
    return {probe: of_table[name] for probe, name in names.items() if name in of_table}
  probes = [name.rpartition('-')[0] for name in of_table]
  return {p if probes.count(p) == 1 else name: of for p, (name, of) in zip(probes, of_table.items(), strict=True)}


def dataset(folder: pathlib.Path, choose: Callable[[Sequence[str]], str], cell: Cell | None = None):
  """(probe, its labelled arrays, the settings of members) of one probe; None for arrays that are not there.

  Args:
    choose: takes the names of all probes that have readings, and gives one of them.
  """
  record, done = read_json(folder / 'run.json'), markers.is_done(folder)
  steps = markers.steps(folder / 'checkpoints')
  of_probe = by_probe(folder, None if done else steps[0], cell) if steps else {}
  probe, members = choose(list(of_probe)), settings(record, cell)
  of = of_probe.get(probe)
  if not of:
    return probe, None, members
  return probe, frames.arrays(rows(of, record), members, tables.shapes(next(iter(of)))), members


def rows(of: Mapping[pathlib.Path, str], record: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """The columns of a table's parts, from `by_probe`, of the run with this run.json.

  Raises:
    StoreError: a part that is missing or damaged.
  """
  try:
    return tables.rows(of)
  except tables.Missing as error:
    raise StoreError(f'{error}: make it again with {record["sessions"][-1]["command"]}.') from error


def settings(record: Mapping[str, Any], cell: Cell | None = None):
  """A DataFrame with a row a member, from a run.json; swept fields as the cell has them, where there is one."""
  swept = tuples(record['swept']) if cell is None else cell.swept
  return frames.settings(record['seeds'], record['hyper'], swept)


def tuples(value: Any) -> Any:
  """What JSON has made lists, as the tuples that they were: a config holds no lists."""
  if isinstance(value, Mapping):
    return {name: tuples(inner) for name, inner in value.items()}
  return tuple(map(tuples, value)) if isinstance(value, (tuple, list)) else value


def _read(folder: pathlib.Path, step: int | None, cell: Cell | None) -> Loaded:
  record, now, done = read_json(folder / 'run.json'), state(folder), markers.is_done(folder)  # before anything that grows
  trained, begun = (_checkpoints(folder / name) for name in ('checkpoints', 'start'))
  steps = trained.steps()
  if not steps or not begun.steps():
    wait = 'wait for its first checkpoint' if now == 'running' else 'give its command again to go on'
    raise StoreError(f'{folder} has no checkpoint yet: {wait}.')
  if step is not None and step not in steps:
    there = ', '.join(map(str, sorted(steps)))
    raise StoreError(f'{folder} has no checkpoint of step {step}; there are: {there}. Set milestones to keep more.')
  newest = max(steps)
  step = newest if step is None else step
  variables, start = _nested(trained, step, 'variables'), _nested(begun, 0, '')
  members, tidy, arrays = settings(record, cell), {}, {}
  for probe, of in by_probe(folder, None if done else newest, cell).items():
    columns = rows(of, record)
    tidy[probe] = frames.tidy(columns, members)
    tidy[probe].insert(0, 'cell', folder.resolve().name)
    arrays[probe] = frames.arrays(columns, members, tables.shapes(next(iter(of))))
  return Loaded(
    folder=folder,
    state=now,
    config=tuples(record['config']),
    settings=members,
    step=step,
    steps=tuple(sorted(steps)),
    variables=variables['variables'],
    initial=start['initial'],
    frozen=start.get('drawn', {}),
    tables=tidy,
    arrays=arrays,
    summary=markers.read_done(folder) if done else {},
  )


def _checkpoints(folder: pathlib.Path):
  from experiments import checkpoints

  return checkpoints.Folder(folder, (), print)


def _nested(saved, step: int, head: str) -> dict[str, Any]:
  """The leaves of a checkpoint that lie under `head`, every byte checked, in dicts as deep as their paths."""
  leaves = _notes(saved, step)['leaves']
  try:
    arrays = saved.arrays(step, leaves, [name for name in leaves if name.startswith(head)])
  except Exception as error:  # any fault of a damaged file: there are as many as file formats
    raise _damage(saved, step, error) from error
  tree: dict[str, Any] = {}
  for name, array in arrays.items():
    *way, last = name.split('.')
    inner = tree
    for word in way:
      inner = inner.setdefault(word, {})
    inner[last] = array
  return tree


def _notes(saved, step: int) -> dict[str, Any]:
  try:
    return saved.notes(step)
  except Exception as error:  # as above
    raise _damage(saved, step, error) from error


def _damage(saved, step: int, error: Exception) -> StoreError:
  others = ', '.join(str(other) for other in sorted(saved.steps()) if other != step)
  way = f'load another step ({others}), or give its command again' if others else 'give its command again'
  return StoreError(f'{saved.folder / str(step)} is missing or damaged ({reason(error)}): {way}.')


def _listing(folder: pathlib.Path) -> list[str]:
  """What tells that a run has gone on."""
  patterns = ('checkpoints/*', 'replay/*', 'tables/*/*', 'done.json', 'start/*')
  return sorted(str(path) for pattern in patterns for path in folder.glob(pattern))


def _cells(source, changes: Mapping[str, Any]) -> list[Cell]:
  from experiments import config, files
  from experiments.resolve import resolve_config

  changed = [(field, files.plain(value, field)) for field, value in changes.items()]
  if isinstance(source, (str, pathlib.Path)):
    return config.cells(str(source), changed)
  given = files.plain(source.to_dict() if hasattr(source, 'to_dict') else source, 'config')
  for field, value in sorted(changed, key=lambda change: change[0] != 'sweep'):
    given = plan.override(given, field, value)
  return plan.cells(given, resolve_config)
