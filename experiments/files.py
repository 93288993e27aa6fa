"""Config files: python files with a function get_config()."""

import numbers
import pathlib
import traceback
from collections.abc import Mapping
from typing import Any

import ml_collections

from dynamics.plan import Config
from dynamics.schema import ConfigError

LARGEST = 2**63  # of whole numbers in a config
DEEPEST = 32  # blocks and tuples within each other
PLAIN = 'values of a config are numbers, words, True, False, None, tuples, and blocks with words as names'


def load(path: str) -> Config:
  """The nested dict of a config file.

  Raises:
    ConfigError: a file that is not there, does not run, or gives no config.
  """
  file = pathlib.Path(path)
  if not _is_file(file):
    near = sorted(str(p) for p in pathlib.Path('configs').glob('[!_]*.py'))
    raise ConfigError(f'{_short(path)} is no file; there are: {", ".join(near) or "no configs in this folder"}.')
  names = {'__name__': f'config_{file.stem}', '__file__': str(file)}
  try:
    exec(compile(file.read_bytes(), str(file), 'exec'), names)  # an import would leave a __pycache__ beside the config
    if 'get_config' not in names:
      raise ConfigError(f'{path} has no function get_config(); a config file must define one.')
    config = names['get_config']()
    if not isinstance(config, ml_collections.ConfigDict):
      raise ConfigError(f'{path}: get_config() gives {type(config).__name__}; it must give an ml_collections.ConfigDict.')
    content = config.to_dict()
  except (ConfigError, KeyboardInterrupt):
    raise
  except BaseException as error:  # a config file may fail in any way, and its author wants the reason in a sentence
    raise ConfigError(f'{_place(error, file)} does not run: {type(error).__name__}: {_message(error)}.') from error
  return plain(content, path)


def plain(value: Any, where: str, depth: int = 0) -> Any:
  """A value of a config, numpy's numbers as python's own.

  Raises:
    ConfigError: a value that no field takes, such as an array, or a whole number of a thousand digits.
  """
  if depth > DEEPEST:
    raise ConfigError(f'{where} is nested more than {DEEPEST} deep; {PLAIN}.')
  if value is None or isinstance(value, (bool, str)):
    return value
  if isinstance(value, numbers.Integral):
    if abs(int(value)) >= LARGEST:
      raise ConfigError(f'{where} is a whole number of {int(value).bit_length()} bits; 63 are the most.')
    return int(value)
  if isinstance(value, numbers.Real):
    return float(value)
  if isinstance(value, Mapping):
    wrong = [name for name in value if not isinstance(name, str)]
    if wrong:
      raise ConfigError(f'{where} has a field named {_short(repr(wrong[0]))}; {PLAIN}.')
    return {
      name: plain(inner, f'{where}: {name}' if depth == 0 else f'{where}.{name}', depth + 1) for name, inner in value.items()
    }
  if isinstance(value, (tuple, list)):
    return tuple(plain(inner, f'{where}[{i}]', depth + 1) for i, inner in enumerate(value))
  raise ConfigError(f'{where} is of type {type(value).__name__}; {PLAIN}.')


def _is_file(file: pathlib.Path) -> bool:
  try:
    return file.is_file()
  except OSError:  # a name too long for a file
    return False


def _place(error: BaseException, file: pathlib.Path) -> str:
  """'configs/x.py, line 3,': of the file with the mistake, which may be one that the config imports."""
  if isinstance(error, SyntaxError) and error.filename:
    return f'{error.filename}, line {error.lineno},'
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
  return f'{file}, line {lines[-1]},' if lines else str(file)


def _message(error: BaseException) -> str:
  try:
    return _short(str(getattr(error, 'msg', error)))
  except Exception:  # the error is of the config, too
    return 'an error without words'


def _short(text: str, most: int = 200) -> str:
  return text if len(text) <= most else f'{text[:most]}...'
