"""Runs the cells of several configs: python -m experiments.sweep --config=configs/A.py [--config=configs/B.py ...]

  --launcher KIND    inline: in this process, one after the other (default); process: in processes of this machine, which are
                     started again when they die; ray: as tasks of Ray (pip install -e '.[sweep]')
  --workers N        processes, or cores that Ray may use on this machine (default: 2)
  --address A        of a Ray cluster that runs, such as 10.0.0.1:6379 or auto (default: this machine alone)
  --config.FIELD=V   sets a field of all configs
  --out DIR          where results go (default: results); a cluster needs a folder that all its machines share
  --save_every S     seconds between checkpoints (default: 60)
  --log KINDS        as of experiments.run
  --mirror ADDRESS   as of experiments.run
  --dry_run          print the plan and run nothing
  --help             this text

The same command goes on where it was stopped. A cell that fails keeps no other back: it is told at the end. Cells that other
processes hold are waited for. Exit status: 0 all is done, 2 a mistake in what was asked, 3 some cells failed or are not in the
mirror, 130 stopped by a signal and resumable.
"""

import concurrent.futures
import shlex
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from dynamics import progress
from dynamics.schema import ConfigError, choose
from experiments import command, cores, run, share
from experiments.disk import StoreError
from experiments.signals import stop_flag

FLAGS = ('--config', '--launcher', '--workers', '--address', '--out', '--save_every', '--log', '--mirror', '--dry_run', '--help')
KINDS = ('inline', 'process', 'ray')
FAILED = 3  # the exit status where some cells failed, or the mirror lacks some
TICK = 0.2  # seconds between looks at what is under way
LOOK = 2.0  # seconds between looks at the disk


class Engine(NamedTuple):
  """What is asked for beside the options of `experiments.run`."""

  launcher: str = 'inline'
  workers: int = 2
  address: str = ''


def main(argv: Sequence[str]) -> int:
  """Exit status: see above."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  again = f'python -m experiments.sweep {shlex.join(argv)}'
  try:
    with stop_flag() as stop, progress.opened() as screen:
      screen.show('reading the configs')
      engine, words = parse(argv)
      cells, commands, rest = read(words)
      options = run.parse(rest, FLAGS)._replace(command=again)
      options = options._replace(out=options.out.absolute())
      if options.dry_run:
        for line in run.plan_lines(cells, options):
          screen.say(line)
        return 0
      units = share.units(cells, commands=commands)
      _leave_devices(engine)
      run.check(units, options, screen)
      if stop.heard:  # where an interrupt was dropped
        raise KeyboardInterrupt
    replies, stopped, unsent = work(units, options, engine)
  except (ConfigError, StoreError) as error:
    return command.refused(error)
  except KeyboardInterrupt:
    print(f'stopped at once; what was saved before is whole\ngo on with: {again}', flush=True)
    return 130
  for line in lines(units, replies):
    print(line, flush=True)
  if unsent:
    run.tell_unsent(unsent, options)
  if stopped:
    print(f'go on with: {again}', flush=True)
    return 130
  return 0 if all(reply.state == 'done' for reply in replies.values()) and not unsent else FAILED


def read(argv: Sequence[str]) -> tuple[list, list[str], list[str]]:
  """The cells of all configs; of each the command that makes it alone; and the arguments that are not about configs."""
  from experiments import config

  paths, changes, rest = config.split(argv)
  cells, commands = [], []
  for path in paths:
    of = config.cells(path, config.values(changes))
    words = [f'--config={path}', *(f'--config.{field}={text}' for field, text in changes), *rest]
    cells += of
    commands += [f'python -m experiments.run {shlex.join(words)}'] * len(of)
  return cells, commands, rest


def parse(argv: Sequence[str]) -> tuple[Engine, list[str]]:
  """The arguments about the engine, and the others."""
  engine, words, rest = Engine(), list(argv), []
  while words:
    word = words.pop(0)
    flag, equals, value = word.partition('=')
    if flag not in ('--launcher', '--workers', '--address'):
      rest.append(word)
      continue
    value = value if equals else words.pop(0) if words else ''
    if flag == '--launcher' and value not in KINDS:
      choose('--launcher', value, dict.fromkeys(KINDS))
    if flag == '--workers' and not (value.isascii() and value.isdigit() and 1 <= int(value) <= 10_000):
      raise ConfigError(f'--workers is {value!r}; it must be a whole number of processes, 1 to 10000.')
    engine = engine._replace(**{flag[2:]: int(value) if flag == '--workers' else value})
  if engine.address and engine.launcher != 'ray':
    raise ConfigError(f'--address is of a Ray cluster, and the launcher is {engine.launcher}: add --launcher=ray.')
  return engine, rest


def _leave_devices(engine: Engine) -> None:
  """Accelerators belong to the workers: this process only traces."""
  import jax

  if engine.launcher != 'inline':
    jax.config.update('jax_platforms', 'cpu')


def work(units: Sequence[share.Unit], options: run.Options, engine: Engine) -> tuple[dict, bool, int]:
  """Replies by the keys of units, whether a signal stopped the sweep, and how many runs the mirror lacks."""
  from experiments import launchers

  more = {'address': engine.address} if engine.launcher == 'ray' else {}
  launch = launchers.LAUNCHERS[engine.launcher]
  with run.opened(options) as context, launch(options, context, engine.workers, **more) as launcher:
    context.stop.patient = True  # what is worked on is asked to save
    replies, flying, tries, pause, asked = {}, {}, {}, {}, False
    take, show = _taker(launcher, context, replies, tries, pause), _progress(units, options.out, context)
    while len(replies) < len(units) and (flying or not context.stop.heard):
      for unit in units:
        free = unit.key not in replies and unit.key not in flying and time.monotonic() >= pause.get(unit.key, 0.0)
        if free and unit.needs in replies and replies[unit.needs].state == 'failed':
          replies[unit.key] = launchers.Reply('failed', 'its source failed')
        elif free and unit.needs in (None, *replies) and len(flying) < launcher.room and not context.stop.heard:
          flying[unit.key] = launcher.submit(unit)
      if context.stop.heard and not asked:
        launcher.stop()
        asked = True
      show(replies, flying)
      if flying:
        concurrent.futures.wait(flying.values(), TICK, concurrent.futures.FIRST_COMPLETED)
      else:  # others hold what is left
        time.sleep(TICK)
      for unit in [unit for unit in units if unit.key in flying and flying[unit.key].done()]:
        take(unit, _reply(flying.pop(unit.key)))
    return replies, context.stop.heard, _complete(units, replies, context)


def _complete(units, replies, context) -> int:
  """Sends what workers could not send, once more; gives the number of runs that the mirror still lacks."""
  if not context.mirror:
    return 0
  unsent = {unit.key[0]: unit.cell.milestones for unit in units if unit.key in replies and replies[unit.key].unsent}
  context.mirror.lacking.update(unsent)
  if not context.stop.heard:
    context.mirror.complete(context.out)
  return len(context.mirror.lacking)


def _taker(launcher, context, replies, tries, pause):
  """A function that takes the reply about a unit: it is kept, or the unit is free again."""

  def take(unit, reply):
    for line in reply.lines:
      context.say(line)
    if reply.state == 'held':
      if unit.key not in pause:
        context.say(f'{unit.name}: held by {reply.text}')
      pause[unit.key] = time.monotonic() + share.PAUSE
    elif reply.state == 'died' and context.stop.heard:
      return
    elif reply.state == 'died' and tries.get(unit.key, 0) < launcher.retries:
      tries[unit.key] = tries.get(unit.key, 0) + 1
      context.say(f'{unit.name}: {reply.text}; another goes on with it ({tries[unit.key]} of {launcher.retries})')
    elif reply.state in ('failed', 'died'):
      replies[unit.key] = reply._replace(state='failed')
      context.say(f'{unit.name}: failed: {reply.text}')
    elif reply.state == 'done':
      replies[unit.key] = reply

  return take


def _reply(future):
  from experiments.disk import reason
  from experiments.launchers import Reply

  try:
    return future.result()
  except Exception as error:  # what Ray makes of processes and machines that are gone
    return Reply('died', f'{type(error).__name__}: {reason(error)}')


def _progress(units, out, context):
  """A function that shows, now and then, how far the sweep is."""
  from experiments import store

  began, last, by_key = time.monotonic(), 0.0, {unit.key: unit for unit in units}

  def show(replies, flying):
    nonlocal last
    if time.monotonic() - last < LOOK:
      return
    last = time.monotonic()
    failed = sum(reply.state == 'failed' for reply in replies.values())
    made = sum(reply.made for reply in replies.values())
    words = [f'{len(replies) - failed}/{len(units)} done'] + [f'{failed} failed'] * bool(failed)
    if made:
      words.append(f'about {progress.duration((last - began) / made * (len(units) - len(replies)))} left')
    for unit in [by_key[key] for key in flying][:4]:
      steps = store.Run(out / unit.key[0], (), context.say).checkpoint_steps()
      words.append(f'{unit.title}: step {steps[0] if steps else 0}/{unit.cell.config["steps"]}')
    context.screen.show('  '.join(words))

  return show


def lines(units: Sequence[share.Unit], replies) -> list[str]:
  """What came out, and a row for each failure."""
  made, done = sum(reply.made for reply in replies.values()), sum(reply.state == 'done' for reply in replies.values())
  failed = [unit for unit in units if unit.key in replies and replies[unit.key].state == 'failed']
  failures = [(unit.title, unit.key[0], replies[unit.key].text) for unit in failed]
  counts = {'made': made, 'found done': done - made, 'failed': len(failures), 'left': len(units) - len(replies)}
  text = [f'{len(units)} cells, sources included: ' + ', '.join(f'{count} {words}' for words, count in counts.items() if count)]
  if failures:
    widths = [max(len(row[i]) for row in [*failures, ('cell', 'run', '')]) for i in (0, 1)]
    rows = [('cell', 'run', 'why it failed'), *failures]
    text += [f'  {title.ljust(widths[0])}  {name.ljust(widths[1])}  {why}' for title, name, why in rows]
  return text


if __name__ == '__main__':
  cores.spread()
  sys.exit(command.run(main, sys.argv[1:]))
