"""A report on the runs of a config, one HTML file: python -m analysis.report --config=configs/NAME.py [--config.FIELD=VALUE ...]

  --to FILE           where to write (default: NAME.html, after the config)
  --out DIR           where results lie (default: results)
  --mirror ADDRESS    from where runs are brought first that are not there, or are further at gs://, s3:// or another address

Settings, runs and how they ended, curves of every probe by hyper value with medians and bands, arrays through training, versions
and commands. The file needs no network and can be mailed. Runs that are missing or still under way are named on it.
Needs pip install -e '.[report]'.
"""

import ast
import importlib.metadata
import pathlib
import shlex
import sys
from collections.abc import Sequence

from analysis.report.readings import Run
from dynamics import frames, plan
from dynamics.schema import ConfigError

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax')


def main(argv: Sequence[str]) -> int:
  """Exit status 0, or 2 with a sentence: a mistake in the command or the config."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  from experiments import arguments, command, config
  from experiments.disk import StoreError

  try:
    try:
      from analysis.report import page
    except ImportError as error:
      raise ConfigError(f"a report needs {error.name}: pip install -e '.[report]'.") from error
    cells, rest = config.read(argv)
    path = config.split(argv)[0][-1]
    options = arguments.read(rest, {'--to': '', '--out': 'results', '--mirror': ''})
    out = command.folder('--out', options.out)
    to = pathlib.Path(options.to or f'{pathlib.Path(path.partition(":")[0]).stem}.html').expanduser()
    command.fetch(options.mirror, cells, out)
    runs = [found(cell, out) for cell in cells]
    elsewhere = [f'--out={options.out}'] if options.out != 'results' else []
    about = page.About(
      title=path,
      text=_docstring(path),
      settings=plan.flat(cells[0].config),
      make='python -m experiments.run ' + shlex.join([word for word in argv if word not in rest] + elsewhere),
      again='python -m analysis.report ' + shlex.join(argv),
      versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(page.page(about, runs))
  except (ConfigError, StoreError) as error:
    return command.refused(error)
  except OSError as error:
    return command.refused(f'{to} cannot be written: {error.strerror}.')
  print(f'{page.summary(runs)}\nreport: {to}')
  return 0


def found(cell: plan.Cell, out: pathlib.Path) -> Run:
  """What there is of a cell, as it is: what cannot be read is a note."""
  from experiments import loaded, markers
  from experiments.disk import StoreError, read_json

  folder = out / plan.identity(cell)
  hyper = {name: list(values) for name, values in cell.hyper.items()}
  run = Run(folder.name, frames.settings(cell.seeds, hyper, cell.swept), cell.config['steps'])
  if not (folder / 'run.json').is_file():
    return run
  try:
    record, done = read_json(folder / 'run.json'), markers.is_done(folder)
    steps = markers.steps(folder / 'checkpoints')
    run = run._replace(sessions=tuple(record['sessions']), state=loaded.state(folder), step=steps[0] if steps else 0)
    if done:
      marker = markers.read_done(folder)
      run = run._replace(seconds=sum(marker['seconds'].values()), diverged=tuple(marker['diverged']), step=marker['step'])
    read = lambda: _readings(folder, None if done else steps[0], cell, record) if steps else {}
    readings = loaded.consistent(folder, read)
  except StoreError as error:
    return run._replace(notes=(f'{folder.name}: {error}',))
  lacking = [probe for probe in cell.probes if probe not in readings]
  text = f'{folder.name} has no readings of {", ".join(lacking)} yet: its command makes them.'
  return run._replace(readings=readings, notes=(text,) if lacking else ())


def _readings(folder: pathlib.Path, step: int | None, cell: plan.Cell, record) -> dict:
  from analysis import tables
  from experiments import loaded

  return {
    probe: frames.arrays(loaded.rows(of, record), loaded.settings(record, cell), tables.shapes(next(iter(of))))
    for probe, of in loaded.by_probe(folder, step, cell).items()
  }


def _docstring(path: str) -> str:
  try:
    return ast.get_docstring(ast.parse(pathlib.Path(path.partition(':')[0]).read_text())) or ''
  except (OSError, SyntaxError):
    return ''


if __name__ == '__main__':
  from experiments import command

  sys.exit(command.run(main, sys.argv[1:]))
