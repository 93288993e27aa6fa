"""Config files and command-line overrides: read here, checked against the signatures of what they configure."""

import ast
import pathlib
import traceback
from collections.abc import Sequence

import ml_collections

from dynamics import plan
from dynamics.schema import ConfigError
from experiments import supervised

USAGE = '--config=configs/NAME.py'


def read(argv: Sequence[str]) -> tuple[list[plan.Cell], list[str]]:
  """The cells that a command line asks for, and the arguments that are not about the config.

  `--config=FILE` names a file with `get_config()`; `--config.data.p=59` sets one field of it.

  Raises:
    ConfigError: one sentence on the file, field or value that is wrong.
  """
  path, changes, rest = None, [], []
  words = list(argv)
  while words:
    word = words.pop(0)
    flag, equals, value = word.partition('=')
    if flag == '--config' or flag.startswith('--config.'):
      if not equals:
        if not words:
          raise ConfigError(f'{flag} needs a value: {flag}=VALUE.')
        value = words.pop(0)
      if flag == '--config':
        path = value
      else:
        changes.append((flag.removeprefix('--config.'), literal(value)))
    else:
      rest.append(word)
  if path is None:
    raise ConfigError(f'no config is named: add {USAGE}.')
  return cells(path, changes), rest


def cells(path: str, changes: Sequence[tuple[str, object]] = ()) -> list[plan.Cell]:
  """The cells of a config file with some of its fields changed."""
  config = load(path)
  for field, value in changes:
    config = plan.assign(config, field, value)
  found = plan.cells(config, supervised.resolve_config)
  for cell in found:
    supervised.check_cell(cell)  # values that do not go together, and missing files, are told before anything runs
  return found


def load(path: str) -> plan.Config:
  """The nested dict of a config file."""
  file = pathlib.Path(path)
  if not file.is_file():
    near = sorted(str(p) for p in pathlib.Path('configs').glob('[!_]*.py'))
    raise ConfigError(f'{path} is no file; there are: {", ".join(near) or "no configs in this folder"}.')
  names = {'__name__': f'config_{file.stem}', '__file__': str(file)}
  try:
    exec(compile(file.read_bytes(), str(file), 'exec'), names)  # an import would leave a __pycache__ beside the config
    if 'get_config' not in names:
      raise ConfigError(f'{path} has no function get_config(); a config file must define one.')
    config = names['get_config']()
  except ConfigError:
    raise
  except (Exception, SystemExit) as error:  # a config file may fail in any way, and its author wants the reason in a sentence
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame.lineno for frame in frames if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else inside[-1] if inside else None
    place = f'{path}, line {line},' if line else path
    raise ConfigError(f'{place} does not run: {type(error).__name__}: {getattr(error, "msg", error)}.') from error
  if isinstance(config, ml_collections.ConfigDict):
    return config.to_dict()
  raise ConfigError(f'{path}: get_config() gives {type(config).__name__}; it must give an ml_collections.ConfigDict.')


def literal(text: str) -> object:
  """A python value, or the text itself: '1e-3' is a number and 'float16' a word."""
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text
