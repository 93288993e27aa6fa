"""Runs all cells of a config: python -m experiments.run --config=configs/NAME.py [--config.FIELD=VALUE ...]

  --out DIR        where results go (default: results)
  --dry_run        print the plan (cells, members, programs to compile, bytes) and run nothing
  --save_every S   seconds between checkpoints (default: 60)
  --help           this text

The same command goes on where it was stopped, and only reports a run that is done.
"""

import contextlib
import pathlib
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dynamics.schema import ConfigError

PROGRAMS = 3  # data, start and advance; and one a probe


class Outcome(NamedTuple):
  """How a command ended."""

  finished: bool
  diverged: int  # members


class Options(NamedTuple):
  out: pathlib.Path = pathlib.Path('results')
  dry_run: bool = False
  save_every: float = 60.0


def main(argv: Sequence[str]) -> int:
  """Exit status: 0 done, 2 a mistake in the command, the config or the disk, 130 stopped and resumable."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  from experiments import config  # after --help, which needs no jax

  try:
    cells, rest = config.read(argv)
    options = parse(rest)
    if options.dry_run:
      print(plan_text(cells, options.out))
      return 0
    outcome = run_cells(cells, options)
  except (ConfigError, stored_errors()) as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0 if outcome.finished else 130


def parse(words: Sequence[str]) -> Options:
  """The arguments that are not about the config."""
  options, words = Options(), [part for word in words for part in word.split('=', 1)]
  while words:
    flag = words.pop(0)
    if flag == '--dry_run':
      options = options._replace(dry_run=True)
    elif flag in ('--out', '--save_every') and words:
      value = words.pop(0)
      try:
        options = options._replace(**{flag[2:]: pathlib.Path(value) if flag == '--out' else float(value)})
      except ValueError:
        raise ConfigError(f'{flag} is {value!r}; it must be a number of seconds.') from None
    else:
      raise ConfigError(f'{flag} is no argument here, or lacks its value; there are --config, --out, --dry_run, --save_every.')
  return options


def stored_errors():
  """The store's error, if the store has been loaded: a mistake in a config must not wait for orbax to import."""
  store = sys.modules.get('experiments.store')
  return store.StoreError if store else ConfigError


def run_cells(cells, options: Options, say: Callable[[str], None] | None = None) -> Outcome:
  """Runs what is missing of all cells, one after the other."""
  from rich.console import Console

  console = Console()
  say = say or (lambda text: console.print(text, highlight=False, soft_wrap=True))
  diverged = 0
  with stop_flag() as stopped:
    for number, cell in enumerate(cells):
      outcome = run_cell(cell, options, f'cell {number + 1}/{len(cells)}', say, console, stopped)
      diverged += outcome.diverged
      if not outcome.finished:
        return outcome
  return Outcome(True, diverged)


def run_cell(cell, options: Options, title: str, say, console, stopped: Callable[[], bool]) -> Outcome:
  """Runs one cell to its end, or to the next checkpoint after a signal."""
  import jax
  import numpy as np

  from dynamics import parallel, plan, train
  from experiments import progress, store, supervised

  name = plan.identity(cell)
  folder = options.out / name
  if store.is_done(folder):
    done = store.read_json(folder / 'done.json')
    say(f'{title} {name}: done before ({cell.members} members, {done["step"]} steps)')
    return Outcome(True, len(done['diverged']))
  with jax.enable_x64(supervised.wide(cell.config)), store.opened(folder, cell.config['milestones'], say) as run:
    cache(options.out)
    study = supervised.build(cell.config)
    grid = parallel.mesh(cell.members, cell.config['data_parallel'])
    programs = train.compile_programs(study, grid, layout=cell.config['layout'])
    members = train.join(cell.seeds, cell.hyper)
    now = surroundings(grid)
    note(folder, cell, now, say)
    like = jax.eval_shape(programs.start, members, jax.eval_shape(programs.data, members))
    resume = run.restore(like)
    begun = f'going on from step {resume[0]}' if resume else f'compiling {PROGRAMS + len(study.probes)} programs'
    say(f'{title} {name}: {cell.members} members x {study.steps} steps; {begun}')
    show, saved, spent = progress.reporter(study.steps, cell.members, console), time.monotonic(), {}
    for event in train.events(study, members, programs, resume=resume, stops=cell.config['milestones']):
      run.append(event.step, event.readings)
      show(event)
      for part, seconds in event.spent.items():
        spent[part] = spent.get(part, 0.0) + seconds
      if event.step == study.steps:
        continue
      if stopped():
        run.save(event.step, event.state)
        run.wait()
        say(f'stopped at step {event.step} of {study.steps}, all saved; the same command goes on from there.')
        return Outcome(False, 0)
      if time.monotonic() - saved > options.save_every or event.step in cell.config['milestones']:
        run.save(event.step, event.state)
        saved = time.monotonic()
    sizes = np.stack([np.asarray(x).reshape(cell.members, -1).sum(1) for x in jax.tree.leaves(event.state.variables['params'])])
    lost = [int(i) for i in np.flatnonzero(~np.isfinite(sizes).all(0))]
    run.finish(event.step, event.state, {'diverged': lost, 'seconds': {k: round(v, 3) for k, v in spent.items()}})
  if lost:
    which = ', '.join(f'{i} (seed {cell.seeds[i]})' for i in lost[:5])
    say(f'  diverged: {len(lost)} of {cell.members} members: {which}; their readings are NaN from there on')
  say(f'  done in {progress.duration(sum(spent.values()))}: {folder}')
  return Outcome(True, len(lost))


def plan_text(cells, out: pathlib.Path) -> str:
  """What a run would do, from shapes alone."""
  import jax
  import numpy as np

  from dynamics import plan, train, trees
  from dynamics.study import due
  from experiments import progress, supervised, tables

  lines, total, programs_total = [], 0, 0
  for cell in cells:
    with jax.enable_x64(supervised.wide(cell.config)):
      study = supervised.build(cell.config)
      members = train.join(cell.seeds, cell.hyper)
      columns, state = tables.schema(study, members)
    parameters = trees.size(state.variables['params']) // cell.members
    row = {probe: sum(dtype.itemsize for dtype in kinds.values()) + 13 for probe, kinds in columns.items()}
    readings = {probe: len(study.schedule[probe]) * cell.members for probe in columns}
    bytes_ = sum(row[p] * readings[p] for p in columns)
    bytes_ += 2 * sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(state))
    compiled = PROGRAMS + len(study.probes)
    total, programs_total = total + bytes_, programs_total + compiled
    done = 'done' if (out / plan.identity(cell) / 'done.json').is_file() else 'to run'
    told = ', '.join(f'{k}={v}' for k, v in cell.swept.items()) or 'the only cell'
    lines.append(
      f'{plan.identity(cell)}  {done}  {cell.members} members x {study.steps} steps  {parameters:,} parameters a member  '
      f'{compiled} programs  {len(due(study))} probe times  {progress.size(bytes_)}  [{told}]'
    )
  lines.append(
    f'{len(cells)} cells, {sum(c.members for c in cells)} members, {programs_total} programs to compile, '
    f'at most {progress.size(total)} of results in {out}'
  )
  return '\n'.join(lines)


@contextlib.contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
  """A context whose value says whether Ctrl-C or SIGTERM has come. A second Ctrl-C ends at once."""
  heard = []

  def hear(number, frame):
    heard.append(number)
    print('\nsaving before stopping ...', file=sys.stderr, flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)

  before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
  try:
    yield lambda: bool(heard)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def cache(out: pathlib.Path) -> None:
  """Keeps compiled programs between processes, unless the user has named a place for them."""
  import jax

  if jax.config.jax_compilation_cache_dir is None:
    jax.config.update('jax_compilation_cache_dir', str((out / '.programs').absolute()))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)


def surroundings(grid) -> dict:
  """What the bits of a run depend on beside its config."""
  import flax
  import jax
  import jaxlib
  import optax

  return {
    'versions': {
      'python': platform.python_version(),
      **{m.__name__: m.__version__ for m in (jax, jaxlib, flax, optax)},
    },
    'device': f'{grid.devices.flat[0].device_kind}',
    'mesh': dict(grid.shape),
  }


def note(folder: pathlib.Path, cell, now: dict, say) -> None:
  """Writes run.json, or adds this command to it; says where bits may differ from those already there."""
  from experiments import store

  path = folder / 'run.json'
  session = {**now, 'git': git_state(), 'command': ' '.join(sys.argv), 'at': time.strftime('%Y-%m-%dT%H:%M:%S%z')}
  if path.is_file():
    record = store.read_json(path)
    changed = [k for k in now if record['sessions'][0][k] != now[k]]
    if changed:
      say(f'  {" and ".join(changed)} changed since this run began: it goes on, but equals an unbroken run only to rounding')
    record['sessions'].append(session)
  else:
    members = {'seeds': cell.seeds, 'hyper': cell.hyper}
    record = {'config': cell.config, **members, 'swept': cell.swept, 'revision': cell.revision, 'sessions': [session]}
  store.write_json(path, record)


def git_state() -> str:
  """The commit of the code, with '+' where the tree has changes; 'unknown' outside of git."""
  here = pathlib.Path(__file__).parent
  ask = lambda *words: subprocess.run(['git', *words], cwd=here, capture_output=True, text=True, check=False)
  commit = ask('rev-parse', '--short=12', 'HEAD')
  if commit.returncode:
    return 'unknown'
  return commit.stdout.strip() + ('+' if ask('status', '--porcelain').stdout.strip() else '')


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
