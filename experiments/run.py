"""Runs all cells of a config: python -m experiments.run --config=configs/NAME.py [--config.FIELD=VALUE ...]

  --out DIR          where results go (default: results)
  --cells I/N        only the I-th of N shares of the cells, such as 1/3, without a look at what others do
  --wait             wait for cells that other processes hold, and take over those of processes that die
  --dry_run          print the plan (sources, cells, members, programs to compile, bytes) and run nothing
  --save_every S     seconds between checkpoints (default: 60)
  --at checkpoints   read the probes at the checkpoints of finished runs, without training
  --log KINDS        mirrors single readings to tensorboard, wandb (offline) or both, with a comma; pip install -e '.[log]'
  --mirror ADDRESS   keeps all runs at gs://, s3:// or another address too, and goes on from there; pip install -e '.[mirror]'
  --processes WHICH  several processes run one program: auto (TPU, GKE, Slurm), or I/N@HOST:PORT, of which the first listens there
  --list             print the configs by paper, with their run time and how much of each is in --out, and run nothing
  --help             this text

Examples:
  python -m experiments.run --config=configs/prieto2025_fig1.py --dry_run
  python -m experiments.run --config=configs/prieto2025_fig1.py --config.data.p=59 --config.seeds="(0,1,2,3)"
  python -m experiments.run --config=configs/cohen2021_descent.py --config.sweep="(('hyper.lr',(0.1,0.2)),)" --out=/tmp/tries
  python -m experiments.run --config=mine.py --cells=1/2 --mirror=s3://bucket/runs
  python -m experiments.watch                               # what these runs do meanwhile, from another terminal

The same command goes on where it was stopped, and only reports what is done. A probe that is added, changed or read at other
times makes its own table: the training is replayed for it, to the same bits, and nothing else is made again.

Any number of these processes on one folder share a sweep: each takes the next cell that nobody holds, and what a process that
died has left. Exit status: 0 all is done, 2 a mistake in the command, the config or the disk, 3 all is done here and the mirror
lacks some of it, 4 other processes hold what is left, 5 another one of --processes has ended, 130 stopped by a signal and
resumable.
"""

import contextlib
import os
import pathlib
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dynamics import plan, progress
from dynamics.schema import ConfigError
from experiments import arguments, command, cores, log, processes, share
from experiments.disk import StoreError
from experiments.signals import stop_flag

FLAGS = (
  '--config',
  '--out',
  '--cells',
  '--wait',
  '--dry_run',
  '--save_every',
  '--at',
  '--log',
  '--mirror',
  '--processes',
  '--list',
  '--help',
)
UNSENT, HELD = 3, 4  # exit statuses: the mirror lacks something; others hold what is left


class Options(NamedTuple):
  out: pathlib.Path = pathlib.Path('results')
  dry_run: bool = False
  save_every: float = 60.0
  at_checkpoints: bool = False
  log: tuple[str, ...] = ()  # mirrors, from `experiments.log`
  cells: tuple[int, int] = (1, 1)  # the i-th of n shares
  wait: bool = False  # for what others hold
  mirror: str = ''  # an address
  processes: tuple[int, int, str] | str = ''  # from `experiments.processes`
  command: str = ''  # for run.json; by default the words that started this process


def main(argv: Sequence[str]) -> int:
  """Exit status: see above."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  try:
    group = processes.joined(argv)
  except ConfigError as error:
    return command.refused(error)
  except KeyboardInterrupt:
    return 130
  try:
    status, why = _run(argv, group)
  except Exception as error:
    group.failed(error)
    raise
  if status in (0, UNSENT, HELD) or why == '':
    group.end()
  else:
    group.leave(status, why)
  return status


def _run(argv: Sequence[str], group: processes.Group) -> tuple[int, str]:
  """The exit status, and why it is none that all processes of the group end with."""
  again = f'python -m experiments.run {shlex.join(argv)}'
  try:
    with stop_flag() as stop:
      with _screen(group) as screen:
        if '--list' in argv:
          listed(argv, screen)
          return 0, ''
        screen.show('reading the config')
        from experiments import config  # after --help, which needs no jax

        cells, rest = config.read(argv)
        options = parse(rest)._replace(command=again)
        if options.dry_run:
          for line in plan_lines(cells, options):
            screen.say(line)
          return 0, ''
        units = share.units(cells, options.cells)
        processes.check_folder(group, options.out)
        processes.check_command(group, [unit.name for unit in units])
        check(units, options, screen, group)
      if stop.heard:  # where an interrupt was dropped
        raise KeyboardInterrupt
      shared = run_cells(cells, options, group=group)
  except (ConfigError, StoreError) as error:
    return command.refused(error), ' '.join(str(error).split())
  except KeyboardInterrupt:
    print('stopped before anything was written', flush=True)
    return 130, 'a signal'
  if shared.unsent:
    tell_unsent(shared.unsent, options)
  if shared.stopped:
    print(f'go on with: {again}', flush=True)
  status = 130 if shared.stopped else HELD if not shared.finished else UNSENT if shared.unsent else 0
  return status, 'a signal' if shared.at_once else ''


def listed(argv: Sequence[str], screen: progress.Screen) -> None:
  """Prints the configs that there are."""
  from experiments import listing

  for line in listing.lines(parse([word for word in argv if word != '--list'], ('--out', '--list')).out, screen.show):
    screen.say(line)


def tell_unsent(runs: int, options: Options) -> None:
  text = f'{options.mirror} lacks something of {runs} runs, all of which is in {options.out}'
  command.refused(f'{text}: give {options.command} again to send it.')


def check(units: Sequence[share.Unit], options: Options, screen: progress.Screen, group=processes.ALONE) -> None:
  """Traces all cells in which something is to be made, before anything is written."""
  done = group.agreed(lambda: [share.status(unit.cell, options.out) == 'done' for unit in units])
  runs = [unit.cell for unit, is_done in zip(units, done, strict=True) if not is_done]
  look = checker(options)
  for number, cell in enumerate(runs):
    screen.show(f'checking cell {number + 1} of {len(runs)}')
    log.check(options.log, cell.members)
    look(cell)


def checker(options: Options) -> Callable:
  """cell -> (its study, its shapes, how many members go at once); what cells have in common is traced once."""
  from experiments.build import after_start
  from experiments.check import check_cell, reads_values
  from experiments.sizes import check_sizes

  traced, shapes = {}, {}

  def look(cell):
    key, rest = plan.alike(cell), plan.alike(after_start(cell))
    if key not in traced or reads_values(cell):
      traced[key] = check_cell(cell, shapes.get(rest))
      shapes[rest] = traced[key][1]
    return *traced[key], check_sizes(cell, *traced[key], options.out)

  return look


def parse(words: Sequence[str], flags: Sequence[str] = FLAGS) -> Options:
  """The arguments that are not about the config; `flags` are those that there are."""
  options, words = Options(), list(words)
  while words:
    flag, equals, value = words.pop(0).partition('=')
    if flag in flags and flag in ('--dry_run', '--wait') and not equals:
      options = options._replace(**{flag[2:]: True})
    elif flag in flags and flag in READERS:
      value = value if equals or not words else words.pop(0)
      options = options._replace(**{'at_checkpoints' if flag == '--at' else flag[2:]: READERS[flag](value)})
    elif flag in flags:
      raise ConfigError(f'{flag} takes no value, but is given {value!r}.')
    else:
      raise ConfigError(arguments.unknown(flag, flags))
  if options.processes and (options.log or options.mirror):
    raise ConfigError(f'--{"log" if options.log else "mirror"} does not go with --processes: leave one of them out.')
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
  '--cells': share.parse,
  '--save_every': _seconds,
  '--at': _moment,
  '--log': log.parse,
  '--mirror': _address,
  '--processes': processes.parse,
}


def run_cells(
  cells, options: Options, say: Callable[[str], None] | None = None, group: processes.Group = processes.ALONE
) -> share.Shared:
  """Runs what is missing of all cells and nobody else works on, one after the other, each after its source."""
  units = share.units(cells, options.cells)
  with opened(options, say, group) as context:
    run = lambda unit: run_unit(unit, context)
    before = group.agreed(lambda: [share.status(unit.cell, options.out) == 'done' for unit in units])
    done = {unit.key for unit, is_done in zip(units, before, strict=True) if is_done}
    if len(done) < len(units):
      context.say(f'to watch from another terminal: python -m experiments.watch --out={shlex.quote(str(options.out))}')
    shared = share.share(units, done, run, context.say, context.stop, options.wait, group)
    for line in share.lines(units, shared):
      context.say(line)
    if context.mirror and shared.finished:
      context.mirror.complete(options.out)
  return shared._replace(unsent=len(context.mirror.lacking) if context.mirror else 0)


@contextlib.contextmanager
def opened(
  options: Options, say: Callable[[str], None] | None = None, group: processes.Group = processes.ALONE
) -> Iterator['Context']:  # noqa: F821
  """What the work on cells needs around it: signals, a screen, a place for programs."""
  from experiments.work import Context  # after the config, a mistake in which must not wait for orbax

  cache(options.out)
  with stop_flag() as stop, _screen(group) as screen, warnings.catch_warnings():
    # Where compiled programs cannot be kept they are made again: no reason to talk.
    warnings.filterwarnings('ignore', message='Error (reading|writing) persistent compilation cache')
    words = options.command or shlex.join(sys.argv)
    say = say or screen.say
    asked = (options.out, options.save_every, words, options.at_checkpoints, say, screen, stop, options.log)
    yield Context(*asked, _mirror(options, say), {}, group)


@contextlib.contextmanager
def _screen(group: processes.Group) -> Iterator[progress.Screen]:
  """What the first process shows; the others show nothing."""
  with contextlib.ExitStack() as stack:
    stream = None if group.first else stack.enter_context(open(os.devnull, 'w'))
    yield stack.enter_context(progress.opened(stream))


def _mirror(options: Options, say: Callable[[str], None]):
  if not options.mirror:
    return None
  from experiments.mirror import Mirror

  mirror = Mirror(options.mirror, say)
  mirror.prove()
  return mirror


def run_unit(unit: share.Unit, context):
  """Makes what is missing of a unit, whose source is done."""
  from experiments.work import run_cell

  context = context._replace(command=unit.command or context.command)
  return run_cell(unit.cell, unit.title, context._replace(at_checkpoints=context.at_checkpoints and not unit.is_source))


def plan_lines(cells, options: Options) -> Iterator[str]:
  """What a run would do, from shapes alone: a line a run, sources first, and the sum."""
  from experiments.sizes import turns_text

  units, out, total, compiled = share.units(cells, options.cells), options.out, 0, 0
  look = checker(options)
  for unit in units:
    study, shapes, most = look(unit.cell)
    line, bytes_, programs = _line(unit.cell, study, shapes, out)
    total, compiled = total + bytes_, compiled + programs
    swept = ', '.join(f'{k}={v}' for k, v in unit.cell.swept.items())
    yield f'{line}  [{swept or ("source" if unit.is_source else "the only cell")}]'
    if most < unit.cell.members:
      yield f'  {turns_text(unit.cell, most)}'
  text = f'{len(units)} cells, {sum(unit.cell.members for unit in units)} members, {compiled} programs to compile'
  yield f'{text}, about {progress.size(total)} of results in {out}'


def _line(cell, study, shapes, out: pathlib.Path) -> tuple[str, int, int]:
  """What a cell would do; bytes of its results; programs to compile."""
  from dynamics.study import due
  from experiments import sizes
  from experiments.job import PROGRAMS

  bytes_ = sum(sizes.disk(cell, study, shapes).values())
  programs = PROGRAMS + len(study.schedule) + len(study.interventions)
  line = (
    f'{plan.identity(cell)}  {share.status(cell, out)}  {cell.members} members x {study.steps} steps  '
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
