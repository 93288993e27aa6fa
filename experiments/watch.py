"""The state of all runs in a folder, and curves of one: python -m experiments.watch [--config=configs/NAME.py] [--run=NAME]

  --out DIR          where results lie (default: results)
  --config FILE      only the runs of this config, and curves of the one that was saved last; --config.FIELD=VALUE changes it
  --run NAME         curves of this run: its folder, its identity, or how that begins
  --probe NAME       whose readings are drawn (default: performance)
  --readings A,B     which of them (default: losses and accuracies, else the first four)
  --png FILE         draws the curves into this file, too
  --every S          seconds between looks (default: 2)
  --once             a single look, as where the output is no terminal
  --help             this text

Nothing is locked or written but the PNG. What is shown of a run is what its newest checkpoint holds, so it is as old as the
column 'saved' says. Ctrl-C ends it.
"""

import difflib
import math
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from dynamics.schema import ConfigError
from experiments import arguments, command
from experiments.disk import StoreError, faults

USUAL = ('train_loss', 'test_loss', 'train_accuracy', 'test_accuracy')
HEIGHT, WIDTH = 6, 72  # letters of a curve


def main(argv: Sequence[str]) -> int:
  """Exit status 0, or 2 with a sentence: a mistake in the command, the config, or a run that cannot be read."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  try:
    cells, words = None, list(argv)
    if any(word.partition('=')[0].partition('.')[0] == '--config' for word in argv):
      from experiments import config  # only where it is needed: a look needs no components

      cells, words = config.read(argv)
    options = parse(words)
    if cells is None and not options.run and (options.png or options.probe or options.readings):
      raise ConfigError('--png, --probe and --readings are about one run: name it with --run or --config.')
    watch(cells, options)
  except (ConfigError, StoreError) as error:
    return command.refused(error)
  except KeyboardInterrupt:
    print(flush=True)
  return 0


def watch(cells, options: SimpleNamespace) -> None:
  """Shows, again and again in a terminal."""
  from experiments import glances

  out, live, look = command.folder('--out', options.out), sys.stdout.isatty() and not options.once, glances.looker()
  while True:
    rows = look(glances.folders(cells, out))
    shown = glances.table(rows)
    if cells is not None or options.run:
      shown += ['', *curves(cells, rows, out, options)]
    if not live:
      print('\n'.join(shown), flush=True)
      return
    size = shutil.get_terminal_size()
    over = ''.join(f'{text[: size.columns - 1]}\x1b[K\n' for text in shown[: size.lines - 1])
    print(f'\x1b[H{over}\x1b[J', end='', flush=True)  # from the corner, over the old lines; the rest is cleared
    time.sleep(options.every)


def curves(cells, rows, out: pathlib.Path, options: SimpleNamespace) -> list[str]:
  """Lines with the curves of the run that is asked for, which are drawn into the PNG, too."""
  from dynamics.plan import identity
  from experiments import curves as drawing

  folder = chosen(rows, out, options.run)
  if folder is None:
    return ['no run of this config is there yet']
  probe, readings, differing = wanted(folder, options, next((c for c in cells or () if identity(c) == folder.name), None))
  if not readings:
    return [f'{folder.name}: no readings yet']
  title = f'{folder.name}: {probe}'
  if options.png:
    path = pathlib.Path(options.png).expanduser()
    try:
      drawing.write(drawing.figure(title, readings, differing), path)
    except OSError as error:
      raise ConfigError(f'--png: {path} cannot be written ({error.strerror}).') from error
  plain = 'utf' not in (sys.stdout.encoding or '').lower()
  plots = [drawing.lines(n, v['step'].to_numpy(), v.to_numpy(), WIDTH, HEIGHT, plain) for n, v in readings.items()]
  return [title, *(text for plot in plots for text in plot)]


def chosen(rows, out: pathlib.Path, run: str) -> pathlib.Path | None:
  """The folder of the run whose curves are asked for: the named one, or the one of the rows that was saved last."""
  if not run:
    begun = [row for row in rows if row.state != 'to run']
    return out / max(begun, key=lambda row: row.saved).run if begun else None
  if (pathlib.Path(run) / 'run.json').is_file():
    return pathlib.Path(run)
  names = sorted(path.parent.name for path in out.glob('*/run.json'))
  fitting = [name for name in names if name.startswith(run)]
  if len(fitting) != 1:
    several = f'{len(fitting)} runs begin like that' if fitting else f'there are: {", ".join(names) or "none"}'
    raise ConfigError(f'--run is {run!r}, which is no single run in {out}; {several}.')
  return out / fitting[0]


def wanted(folder: pathlib.Path, options: SimpleNamespace, cell=None) -> tuple[str, dict[str, Any], list[str]]:
  """The probe, its readings that are asked for, each (member, step), and the coordinates in which members differ."""
  from experiments import loaded

  def choose(probes):
    if not probes:
      return ''
    probe = options.probe or ('performance' if 'performance' in probes else probes[0])
    if probe not in probes:
      raise ConfigError(f'{folder.name} has no readings of {probe!r}; {_there(probe, probes)}.')
    return probe

  with faults(folder):
    probe, arrays, members = loaded.consistent(folder, lambda: loaded.dataset(folder, choose, cell))
  if not probe:
    return '', {}, []
  scalars = [name for name, values in arrays.data_vars.items() if values.dims == ('member', 'step')]
  asked = [word for word in options.readings.split(',') if word] or [name for name in USUAL if name in scalars] or scalars[:4]
  for name in asked:
    if name not in scalars:
      raise ConfigError(f'--readings names {name!r}, which is no single number of {probe}; {_there(name, scalars)}.')
  differing = [label for label in members.columns if label != 'seed' and members[label].nunique() > 1]
  return probe, {name: arrays[name] for name in asked}, differing


def _there(name: str, names) -> str:
  near = [f'did you mean {word}? ' for word in difflib.get_close_matches(name, list(names), n=1)]
  return f'{"".join(near)}there are: {", ".join(names) or "none yet"}'


def parse(words: Sequence[str]) -> SimpleNamespace:
  """The arguments that are not about the config."""
  texts = dict.fromkeys(('--run', '--probe', '--readings', '--png'), '') | {'--out': 'results', '--every': '2'}
  options = arguments.read(words, texts, ('--once',))
  try:
    options.every = float(options.every)
  except ValueError:
    options.every = math.nan
  if not options.every > 0:
    raise ConfigError('--every must be a number of seconds above 0.')
  return options


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv[1:]))
