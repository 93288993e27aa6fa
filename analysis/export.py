"""Tidy tables of runs: python -m analysis.export --config=configs/NAME.py --probe=NAME [--config.FIELD=VALUE ...]

  --probe NAME        which probe's table
  --format csv        or parquet (default: csv)
  --to FILE           where to write (default: standard output)
  --out DIR           where results lie (default: results)
  --mirror ADDRESS    from where runs are brought first that are not there, or are further at gs://, s3:// or another address

One row a member and time; seed, hyper values and swept fields as columns. The runs are found by the content of the config.
"""

import pathlib
import shlex
import sys
import tempfile
from collections.abc import Sequence
from types import SimpleNamespace

import duckdb

from analysis import tables
from dynamics.schema import ConfigError, choose


def main(argv: Sequence[str]) -> int:
  """Exit status 0, or 2 with a sentence: a mistake in the command, or runs that are missing."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  from experiments import command, config  # a command line: the only place here that may resolve a config
  from experiments.disk import StoreError

  try:
    cells, rest = config.read(argv)
    options = _parse(rest)
    about = [word for word in argv if word not in rest]
    elsewhere = [f'--out={options.out}'] if options.out != 'results' else []
    make = 'python -m experiments.run ' + shlex.join([*about, *elsewhere])
    out = command.folder('--out', options.out)
    command.fetch(options.mirror, cells, out)
    write(tables.load(cells, options.probe, out, make), options)
  except (ConfigError, StoreError, tables.Missing) as error:
    return command.refused(error)
  except (OSError, duckdb.Error) as error:
    return command.refused(f'{options.to or "standard output"} cannot be written: {str(error).splitlines()[0]}.')
  return 0


def write(table, options: SimpleNamespace) -> None:
  """The table in the format and to the place that were asked for, by duckdb, which takes a quarter of the time of pandas."""
  flags = {name: table[name].map({True: 'True', False: 'False'}) for name in table.select_dtypes('bool')}
  with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
    if options.format == 'parquet':  # no SQL, of which a name could become a part
      connection.from_df(table).write_parquet(str(pathlib.Path(options.to).expanduser()) if options.to else '/dev/stdout')
      return
    to = pathlib.Path(options.to).expanduser() if options.to else pathlib.Path(folder, 'table.csv')
    connection.from_df(table.assign(**flags)).write_csv(str(to))
    if not options.to:
      print(to.read_text(), end='')


def _parse(words: Sequence[str]) -> SimpleNamespace:
  from experiments import arguments

  texts = {'--probe': None, '--format': 'csv', '--to': '', '--out': 'results', '--mirror': ''}
  options = arguments.read(words, texts)
  choose('--format', options.format, dict.fromkeys(('csv', 'parquet')))
  return options


if __name__ == '__main__':
  from experiments import command

  sys.exit(command.run(main, sys.argv[1:]))
