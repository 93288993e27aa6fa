"""Runs all cells of a config: python -m experiments.run --config=configs/NAME.py [--config.FIELD=VALUE ...]

  --out DIR        where results go (default: results)
  --dry_run        print the plan (cells, members, programs to compile, bytes) and run nothing
  --save_every S   seconds between checkpoints (default: 60)
  --help           this text

The same command goes on where it was stopped, and only reports a run that is done.
"""

import contextlib
import difflib
import os
import pathlib
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dynamics.schema import ConfigError
from experiments import cores, progress

PROGRAMS = 3  # data, start and advance; and one a probe
CHECKPOINT, PART = 50_000, 1_500  # bytes that a checkpoint and a part take beside their numbers
FLAGS = ('--config', '--out', '--dry_run', '--save_every', '--help')


class Outcome(NamedTuple):
  """How a command ended."""

  finished: bool
  diverged: int  # members


class Options(NamedTuple):
  out: pathlib.Path = pathlib.Path('results')
  dry_run: bool = False
  save_every: float = 60.0
  command: str = ''  # for run.json; by default the words that started this process


def main(argv: Sequence[str]) -> int:
  """Exit status: 0 done, 2 a mistake in the command, the config or the disk, 130 stopped and resumable."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  again = f'python -m experiments.run {shlex.join(argv)}'
  try:
    with stop_flag():
      with progress.opened() as screen:
        screen.show('reading the config')
        from experiments import config  # after --help, which needs no jax

        cells, rest = config.read(argv)
        options = parse(rest)._replace(command=again)
        if options.dry_run:
          for line in plan_lines(cells, options.out):
            screen.say(line)
          return 0
      outcome = run_cells(cells, options)
  except (ConfigError, stored_error()) as error:
    print('error:', ' '.join(str(error).split()), file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    outcome = Outcome(False, 0)
  if not outcome.finished:
    print(f'go on with: {again}', flush=True)
  return 0 if outcome.finished else 130


def parse(words: Sequence[str]) -> Options:
  """The arguments that are not about the config."""
  options, words = Options(), list(words)
  while words:
    flag, equals, value = words.pop(0).partition('=')
    if flag == '--dry_run' and not equals:
      options = options._replace(dry_run=True)
    elif flag in ('--out', '--save_every'):
      value = value if equals or not words else words.pop(0)
      options = options._replace(**{flag[2:]: _folder(value) if flag == '--out' else _seconds(value)})
    elif flag in FLAGS:
      raise ConfigError(f'{flag} takes no value, but is given {value!r}.')
    else:
      near = [f'did you mean {word}? ' for word in difflib.get_close_matches(flag, FLAGS, n=1)]
      raise ConfigError(f'{flag} is no argument here; {"".join(near)}there are: {", ".join(FLAGS)}.')
  return options


def _folder(text: str) -> pathlib.Path:
  if not text:
    raise ConfigError('--out needs a value: --out=DIR.')
  return pathlib.Path(text)


def _seconds(text: str) -> float:
  try:
    seconds = float(text)
  except ValueError:
    seconds = -1.0
  if not seconds >= 0:
    raise ConfigError(f'--save_every is {text!r}; it must be a number of seconds, at least 0.')
  return seconds


def stored_error():
  """The store's error, if the store has been loaded: a mistake in a config must not wait for orbax to import."""
  store = sys.modules.get('experiments.store')
  return store.StoreError if store else ConfigError


def run_cells(cells, options: Options, say: Callable[[str], None] | None = None) -> Outcome:
  """Runs what is missing of all cells, one after the other."""
  diverged = 0
  with stop_flag() as stop, progress.opened() as screen, warnings.catch_warnings():
    # Where compiled programs cannot be kept they are made again: no reason to talk.
    warnings.filterwarnings('ignore', message='Error (reading|writing) persistent compilation cache')
    say = say or screen.say
    try:
      for number, cell in enumerate(cells):
        if stop.heard:
          say(f'stopped before cell {number + 1} of {len(cells)}')
          return Outcome(False, diverged)
        outcome = run_cell(cell, options, f'cell {number + 1}/{len(cells)}', say, screen, stop)
        diverged += outcome.diverged
        if not outcome.finished:
          return outcome
    except KeyboardInterrupt:
      say('stopped at once; what was saved before is whole')
      return Outcome(False, diverged)
  return Outcome(True, diverged)


def run_cell(cell, options: Options, title: str, say, screen: progress.Screen, stop) -> Outcome:
  """Runs one cell to its end, or to the next checkpoint after a signal."""
  screen.show('loading')
  stop.patient = False
  import jax

  from dynamics import parallel, plan, train
  from experiments import store, supervised

  name = plan.identity(cell)
  folder = options.out / name
  if store.is_done(folder):
    done = store.read_done(folder)
    say(f'{title} {name}: done before ({cell.members} members, {done["step"]} steps)')
    return Outcome(True, len(done['diverged']))
  with jax.enable_x64(supervised.wide(cell.config)), store.opened(folder, cell.config['milestones'], say) as run:
    cache(options.out)
    study = supervised.build(cell.config)
    grid = parallel.mesh(cell.members, cell.config['data_parallel'])
    programs = train.compile_programs(study, grid, layout=cell.config['layout'])
    members = train.join(cell.seeds, cell.hyper)
    note(folder, cell, surroundings(grid), options.command or shlex.join(sys.argv), say)
    resume = run.restore(jax.eval_shape(programs.start, members, jax.eval_shape(programs.data, members)))
    begun = f'going on from step {resume[0]}' if resume else f'compiling {PROGRAMS + len(study.probes)} programs'
    say(f'{title} {name}: {cell.members} members x {study.steps} steps; {begun}')
    screen.show(f'compiling {PROGRAMS + len(study.probes)} programs')
    show, saved, spent = progress.reporter(study.steps, cell.members, screen), time.monotonic(), {}
    for event in _heard(train.events(study, members, programs, resume=resume, stops=cell.config['milestones']), title, cell):
      stop.patient = True  # from here on there is something to save
      run.append(event.step, event.readings)
      show(event)
      for part, seconds in event.spent.items():
        spent[part] = spent.get(part, 0.0) + seconds
      if event.step == study.steps:
        continue
      if stop.heard:
        run.save(event.step, event.state)
        run.wait()
        say(f'stopped at step {event.step} of {study.steps}, all saved')
        return Outcome(False, 0)
      if time.monotonic() - saved >= options.save_every or event.step in cell.config['milestones']:
        run.save(event.step, event.state)
        saved = time.monotonic()
    screen.show('saving')
    lost = diverged_members(event.state)
    run.finish(event.step, event.state, {'diverged': lost, 'seconds': {k: round(v, 3) for k, v in spent.items()}})
  if lost:
    which = '; '.join(f'{i} ({member_text(cell, i)})' for i in lost[:5]) + ('; ...' if len(lost) > 5 else '')
    say(f'  diverged: {len(lost)} of {cell.members} members: {which}; their readings are NaN from there on')
  say(f'  done in {progress.duration(sum(spent.values()))}: {folder}')
  return Outcome(True, len(lost))


def _heard(events, title: str, cell):
  """The events; a device without memory for them is told in a sentence."""
  import jax

  try:
    yield from events
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    text = f"the device's memory does not hold {cell.members} members of {title}"
    raise ConfigError(f"{text}: take layout='map', fewer seeds or a smaller batch.size.") from error


def diverged_members(state) -> list[int]:
  """Those with a parameter that is no finite number."""
  import jax
  import numpy as np

  finite = [np.isfinite(np.asarray(leaf)).reshape(len(leaf), -1).all(1) for leaf in jax.tree.leaves(state.variables['params'])]
  return [int(i) for i in np.flatnonzero(~np.all(finite, axis=0))]


def member_text(cell, i: int) -> str:
  """'seed 3, lr 0.1': the seed, the learning rate and whatever else members differ in."""
  told = [name for name, values in cell.hyper.items() if name == 'lr' or len(set(values)) > 1]
  return ', '.join([f'seed {cell.seeds[i]}', *(f'{name} {cell.hyper[name][i]:g}' for name in told)])


def plan_lines(cells, out: pathlib.Path) -> Iterator[str]:
  """What a run would do, from shapes alone: a line a cell, and the sum."""
  import jax

  from dynamics import plan, train, trees
  from dynamics.study import due
  from experiments import supervised, tables

  total, programs_total = 0, 0
  for cell in cells:
    with jax.enable_x64(supervised.wide(cell.config)):
      study = supervised.build(cell.config)
      columns, state = tables.schema(study, jax.eval_shape(lambda cell=cell: train.join(cell.seeds, cell.hyper)))
    parameters = trees.size(state.variables['params']) // cell.members
    row = {probe: sum(dtype.itemsize for dtype in kinds.values()) + 13 for probe, kinds in columns.items()}
    bytes_ = sum(PART + row[probe] * len(study.schedule[probe]) * cell.members for probe in columns)
    one = CHECKPOINT + sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    bytes_ += (2 + len(cell.config['milestones'])) * one
    compiled = PROGRAMS + len(study.probes)
    total, programs_total = total + bytes_, programs_total + compiled
    done = 'done' if (out / plan.identity(cell) / 'done.json').is_file() else 'to run'
    told = ', '.join(f'{k}={v}' for k, v in cell.swept.items()) or 'the only cell'
    yield (
      f'{plan.identity(cell)}  {done}  {cell.members} members x {study.steps} steps  {parameters:,} parameters a member  '
      f'{compiled} programs  {len(due(study))} probe times  {progress.size(bytes_)}  [{told}]'
    )
  yield (
    f'{len(cells)} cells, {sum(c.members for c in cells)} members, {programs_total} programs to compile, '
    f'about {progress.size(total)} of results in {out}'
  )


@contextlib.contextmanager
def stop_flag() -> Iterator[types.SimpleNamespace]:
  """Hears Ctrl-C and SIGTERM: `heard` says that one has come.

  While `patient` is False there is nothing to save, and the signal raises KeyboardInterrupt; so does a second Ctrl-C.
  """
  stop = types.SimpleNamespace(heard=False, patient=False)

  def hear(number, frame):
    first, stop.heard = not stop.heard, True
    if not stop.patient or (number == signal.SIGINT and not first):
      raise KeyboardInterrupt
    if first:
      os.write(2, b'\nsaving before stopping ...\n')  # print may be what the signal has interrupted

  if threading.current_thread() is not threading.main_thread():
    yield stop  # signals go to the main thread
    return
  before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
  try:
    yield stop
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


def note(folder: pathlib.Path, cell, now: dict, command: str, say) -> None:
  """Writes run.json, or adds this command to it; says where bits may differ from those already there."""
  from experiments import store

  path = folder / 'run.json'
  session = {**now, 'git': git_state(), 'command': command, 'at': time.strftime('%Y-%m-%dT%H:%M:%S%z')}
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
  if shutil.which('git') is None:
    return 'unknown'
  commit = ask('rev-parse', '--short=12', 'HEAD')
  if commit.returncode:
    return 'unknown'
  return commit.stdout.strip() + ('+' if ask('status', '--porcelain').stdout.strip() else '')


if __name__ == '__main__':
  cores.spread()
  sys.exit(main(sys.argv[1:]))
