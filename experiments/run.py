"""Runs all cells of a config: python -m experiments.run --config=configs/NAME.py [--config.FIELD=VALUE ...]

  --out DIR          where results go (default: results)
  --dry_run          print the plan (sources, cells, members, programs to compile, bytes) and run nothing
  --save_every S     seconds between checkpoints (default: 60)
  --at checkpoints   read the probes at the checkpoints of finished runs, without training
  --log KINDS        mirrors single readings to tensorboard, wandb (offline) or both, with a comma; pip install -e '.[log]'
  --mirror ADDRESS   keeps all runs at gs://, s3:// or another address too, and goes on from there; pip install -e '.[mirror]'
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

from dynamics import progress
from dynamics.schema import ConfigError
from experiments import command, cores, log
from experiments.disk import StoreError
from experiments.signals import stop_flag

FLAGS = ('--config', '--out', '--dry_run', '--save_every', '--at', '--log', '--mirror', '--help')


class Options(NamedTuple):
  out: pathlib.Path = pathlib.Path('results')
  dry_run: bool = False
  save_every: float = 60.0
  at_checkpoints: bool = False
  log: tuple[str, ...] = ()  # mirrors, from `experiments.log`
  mirror: str = ''  # an address
  command: str = ''  # for run.json; by default the words that started this process


def main(argv: Sequence[str]) -> int:
  """Exit status: 0 done, 2 a mistake in the command, the config or the disk, 130 stopped and resumable.

  3 says that all is done here, and the mirror lacks some of it.
  """
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
        check(cells, options, screen)
      outcome = run_cells(cells, options)
  except (ConfigError, StoreError) as error:
    print('error:', ' '.join(str(error).split()), file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print('stopped before anything was written', flush=True)
    return 130
  if outcome.unsent:
    text = f'{options.mirror} lacks something of {outcome.unsent} runs, all of which is in {options.out}'
    print(f'error: {text}: give {again} again to send it.', file=sys.stderr)
  if not outcome.finished:
    print(f'go on with: {again}', flush=True)
    return 130
  return 3 if outcome.unsent else 0


def check(cells, options: Options, screen: progress.Screen) -> None:
  """Traces all cells in which something is to be made, their sources first, before anything is written."""
  from experiments.check import check_cell
  from experiments.sizes import check_sizes

  runs = [run for run in chain(cells) if status(run, options.out) != 'done']
  for number, cell in enumerate(runs):
    screen.show(f'checking cell {number + 1} of {len(runs)}')
    log.check(options.log, cell.members)
    study, shapes = check_cell(cell)
    check_sizes(cell, study, shapes, options.out)


def chain(cells) -> list:
  """All runs that a command is about, each after its source, and each once."""
  from dynamics.plan import identity

  runs = {}
  for cell in cells:
    before = chain([cell.source.cell]) if cell.source else []
    for run in [*before, cell]:
      runs.setdefault((identity(run), run.milestones, repr(run.probes)), run)
  return list(runs.values())


def status(cell, out: pathlib.Path) -> str:
  """'to run', 'to read' where the training is done and a table is not, or 'done'. Files are not read."""
  from dynamics import plan

  folder = out / plan.identity(cell)
  tables = [folder / 'tables' / plan.table_identity(cell, probe) for probe in cell.probes]
  if not (folder / 'done.json').is_file():
    return 'to run'
  return 'done' if all((table / 'done.json').is_file() for table in tables) else 'to read'


def parse(words: Sequence[str]) -> Options:
  """The arguments that are not about the config."""
  options, words = Options(), list(words)
  while words:
    flag, equals, value = words.pop(0).partition('=')
    if flag == '--dry_run' and not equals:
      options = options._replace(dry_run=True)
    elif flag in READERS:
      value = value if equals or not words else words.pop(0)
      options = options._replace(**{'at_checkpoints' if flag == '--at' else flag[2:]: READERS[flag](value)})
    elif flag in FLAGS:
      raise ConfigError(f'{flag} takes no value, but is given {value!r}.')
    else:
      near = [f'did you mean {word}? ' for word in difflib.get_close_matches(flag, FLAGS, n=1)]
      raise ConfigError(f'{flag} is no argument here; {"".join(near)}there are: {", ".join(FLAGS)}.')
  return options


def _address(text: str) -> str:
  from experiments import remote  # with fsspec, which nothing else needs

  return remote.opened(text, 0).address


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


READERS = {
  '--out': lambda text: command.folder('--out', text),
  '--save_every': _seconds,
  '--at': _moment,
  '--log': log.parse,
  '--mirror': _address,
}


def run_cells(cells, options: Options, say: Callable[[str], None] | None = None):
  """Runs what is missing of all cells, one after the other."""
  from experiments.work import Context, Outcome, run_cell  # after the config, a mistake in which must not wait for orbax

  diverged = 0
  cache(options.out)
  with stop_flag() as stop, progress.opened() as screen, warnings.catch_warnings():
    # Where compiled programs cannot be kept they are made again: no reason to talk.
    warnings.filterwarnings('ignore', message='Error (reading|writing) persistent compilation cache')
    say = say or screen.say
    words = options.command or shlex.join(sys.argv)
    mirror = _mirror(options, say)
    told = (options.out, options.save_every, words, options.at_checkpoints, say, screen, stop, options.log, mirror)
    context, outcome = Context(*told), Outcome(True, 0)
    try:
      for number, cell in enumerate(cells):
        if stop.heard:
          say(f'stopped before cell {number + 1} of {len(cells)}')
          outcome = Outcome(False, diverged)
          break
        outcome = run_cell(cell, f'cell {number + 1}/{len(cells)}', context)
        diverged += outcome.diverged
        if not outcome.finished:
          break
    except KeyboardInterrupt:
      say('stopped at once; what was saved before is whole')
      outcome = Outcome(False, diverged)
    if mirror and mirror.lacking and outcome.finished:
      mirror.complete(options.out)
  return outcome._replace(diverged=diverged, unsent=len(mirror.lacking) if mirror else 0)


def _mirror(options: Options, say: Callable[[str], None]):
  if not options.mirror:
    return None
  from experiments.mirror import Mirror

  return Mirror(options.mirror, say)


def plan_lines(cells, out: pathlib.Path) -> Iterator[str]:
  """What a run would do, from shapes alone: a line a run, sources first, and the sum."""
  from experiments.check import check_cell
  from experiments.sizes import check_sizes

  asked, runs, total, compiled = {id(cell) for cell in cells}, chain(cells), 0, 0
  for cell in runs:
    study, shapes = check_cell(cell)
    check_sizes(cell, study, shapes, out)
    line, bytes_, programs = _line(cell, study, shapes, out)
    total, compiled = total + bytes_, compiled + programs
    swept = ', '.join(f'{k}={v}' for k, v in cell.swept.items())
    yield f'{line}  [{swept or ("the only cell" if id(cell) in asked else "source")}]'
  text = f'{len(runs)} cells, {sum(cell.members for cell in runs)} members, {compiled} programs to compile'
  yield f'{text}, about {progress.size(total)} of results in {out}'


def _line(cell, study, shapes, out: pathlib.Path) -> tuple[str, int, int]:
  """What a cell would do; bytes of its results; programs to compile."""
  from dynamics import plan
  from dynamics.study import due
  from experiments import sizes
  from experiments.work import PROGRAMS

  bytes_ = sum(sizes.disk(cell, study, shapes).values())
  programs = PROGRAMS + len(study.schedule) + len(study.interventions)
  line = (
    f'{plan.identity(cell)}  {status(cell, out)}  {cell.members} members x {study.steps} steps  '
    f'{sizes.parameters(shapes):,} parameters a member  {programs} programs  '
    f'{len(due(study.schedule, study.steps))} probe times  {progress.size(bytes_)}'
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
  sys.exit(command.run(main, sys.argv[1:]))
