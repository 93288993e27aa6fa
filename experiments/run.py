"""Runs all cells of a config: python -m experiments.run --config=configs/NAME.py [--config.FIELD=VALUE ...]

  --out DIR          where results go (default: results)
  --dry_run          print the plan (sources, cells, members, programs to compile, bytes) and run nothing
  --save_every S     seconds between checkpoints (default: 60)
  --at checkpoints   read the probes at the checkpoints of finished runs, without training
  --help             this text

The same command goes on where it was stopped, and only reports what is done. A probe that is added, changed or read at other
times makes its own table: the training is replayed for it, to the same bits, and nothing else is made again.
"""

import difflib
import pathlib
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dynamics.schema import ConfigError
from experiments import cores, progress
from experiments.disk import StoreError
from experiments.signals import stop_flag

CHECKPOINT, PART = 50_000, 1_500  # bytes that a checkpoint and a part take beside their numbers
FLAGS = ('--config', '--out', '--dry_run', '--save_every', '--at', '--help')


class Options(NamedTuple):
  out: pathlib.Path = pathlib.Path('results')
  dry_run: bool = False
  save_every: float = 60.0
  at_checkpoints: bool = False
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
        check(cells, options.out, screen)
        if options.dry_run:
          for line in plan_lines(cells, options.out):
            screen.say(line)
          return 0
      outcome = run_cells(cells, options)
  except (ConfigError, StoreError) as error:
    print('error:', ' '.join(str(error).split()), file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print('stopped before anything was written', flush=True)
    return 130
  if not outcome.finished:
    print(f'go on with: {again}', flush=True)
  return 0 if outcome.finished else 130


def check(cells, out: pathlib.Path, screen: progress.Screen) -> None:
  """Traces all cells that are still to run, before anything is written."""
  from dynamics.plan import identity
  from experiments.check import check_cell

  for number, cell in enumerate(cells):
    screen.show(f'checking cell {number + 1} of {len(cells)}')
    if not (out / identity(cell) / 'done.json').is_file():
      check_cell(cell)


def parse(words: Sequence[str]) -> Options:
  """The arguments that are not about the config."""
  options, words = Options(), list(words)
  while words:
    flag, equals, value = words.pop(0).partition('=')
    if flag == '--dry_run' and not equals:
      options = options._replace(dry_run=True)
    elif flag in ('--out', '--save_every', '--at'):
      value = value if equals or not words else words.pop(0)
      field = {'--out': _folder, '--save_every': _seconds, '--at': _moment}[flag](value)
      options = options._replace(**{'at_checkpoints' if flag == '--at' else flag[2:]: field})
    elif flag in FLAGS:
      raise ConfigError(f'{flag} takes no value, but is given {value!r}.')
    else:
      near = [f'did you mean {word}? ' for word in difflib.get_close_matches(flag, FLAGS, n=1)]
      raise ConfigError(f'{flag} is no argument here; {"".join(near)}there are: {", ".join(FLAGS)}.')
  return options


def _folder(text: str) -> pathlib.Path:
  if not text:
    raise ConfigError('--out needs a value: --out=DIR.')
  if '://' in text:
    raise ConfigError(f'--out is {text!r}; it must be a folder of this machine, because runs are locked and synced there.')
  return pathlib.Path(text).expanduser()


def _moment(text: str) -> bool:
  if text != 'checkpoints':
    raise ConfigError(f"--at is {text!r}; it must be 'checkpoints'.")
  return True


def _seconds(text: str) -> float:
  try:
    seconds = float(text)
  except ValueError:
    seconds = -1.0
  if not seconds >= 0:
    raise ConfigError(f'--save_every is {text!r}; it must be a number of seconds, at least 0.')
  return seconds


def run_cells(cells, options: Options, say: Callable[[str], None] | None = None):
  """Runs what is missing of all cells, one after the other."""
  from experiments.work import Desk, Outcome, run_cell  # after the config, a mistake in which must not wait for orbax

  diverged = 0
  cache(options.out)
  with stop_flag() as stop, progress.opened() as screen, warnings.catch_warnings():
    # Where compiled programs cannot be kept they are made again: no reason to talk.
    warnings.filterwarnings('ignore', message='Error (reading|writing) persistent compilation cache')
    say = say or screen.say
    command = options.command or shlex.join(sys.argv)
    desk = Desk(options.out, options.save_every, command, options.at_checkpoints, say, screen, stop)
    try:
      for number, cell in enumerate(cells):
        if stop.heard:
          say(f'stopped before cell {number + 1} of {len(cells)}')
          return Outcome(False, diverged)
        outcome = run_cell(cell, f'cell {number + 1}/{len(cells)}', desk)
        diverged += outcome.diverged
        if not outcome.finished:
          return outcome
    except KeyboardInterrupt:
      say('stopped at once; what was saved before is whole')
      return Outcome(False, diverged)
  return Outcome(True, diverged)


def plan_lines(cells, out: pathlib.Path) -> Iterator[str]:
  """What a run would do, from shapes alone: a line a source run, a line a cell, and the sum."""
  total, compiled = 0, 0
  for cell in cells:
    for source in _sources(cell):
      yield f'{_line(source, out)[0]}  [source]'
    line, bytes_, programs = _line(cell, out)
    total, compiled = total + bytes_, compiled + programs
    swept = ', '.join(f'{k}={v}' for k, v in cell.swept.items()) or 'the only cell'
    yield f'{line}  [{swept}]'
  yield (
    f'{len(cells)} cells, {sum(c.members for c in cells)} members, {compiled} programs to compile, '
    f'about {progress.size(total)} of results in {out}'
  )


def _sources(cell):
  """The chain of runs that must be there before a cell, the first first."""
  return [] if cell.source is None else [*_sources(cell.source.cell), cell.source.cell]


def _line(cell, out: pathlib.Path) -> tuple[str, int, int]:
  """What a cell would do; bytes of its results; programs to compile."""
  import jax

  from dynamics import plan, train, trees
  from dynamics.study import due
  from experiments import tables
  from experiments.build import build
  from experiments.check import source_shapes
  from experiments.resolve import needs_x64
  from experiments.work import PROGRAMS

  with jax.enable_x64(needs_x64(cell)):
    study = build(cell)
    source = source_shapes(cell, cell.members)
    columns, state, frozen = tables.schema(
      study, jax.eval_shape(lambda: train.join(cell.seeds, cell.hyper))._replace(source=source)
    )
  parameters = trees.size(state.variables['params']) // cell.members
  row = {probe: sum(dtype.itemsize for dtype in kinds.values()) + 13 for probe, kinds in columns.items()}
  bytes_ = sum(PART + row[probe] * len(study.schedule[probe]) * cell.members for probe in columns)
  memory = lambda tree: sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
  bytes_ += (2 + len(cell.milestones)) * (CHECKPOINT + memory(state)) + memory(frozen)
  programs = PROGRAMS + len(study.schedule) + len(study.interventions)
  folder = out / plan.identity(cell)
  whole = [probe for probe in cell.probes if tables.is_whole(folder / 'tables' / plan.table_identity(cell, probe))]
  trained = (folder / 'done.json').is_file()
  status = 'to run' if not trained else 'done' if len(whole) == len(cell.probes) else 'to read'
  line = (
    f'{plan.identity(cell)}  {status}  {cell.members} members x {study.steps} steps  {parameters:,} parameters a member  '
    f'{programs} programs  {len(due(study.schedule, study.steps))} probe times  {progress.size(bytes_)}'
  )
  return line, bytes_, programs


def cache(out: pathlib.Path) -> None:
  """Keeps compiled programs between processes, unless the user has named a place for them."""
  import jax

  if jax.config.jax_compilation_cache_dir is None:
    jax.config.update('jax_compilation_cache_dir', str((out / '.programs').absolute()))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)


if __name__ == '__main__':
  cores.spread()
  sys.exit(main(sys.argv[1:]))
