"""Config files: python files with a function get_config()."""

import functools
import hashlib
import inspect
import numbers
import pathlib
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ml_collections

from dynamics.plan import Config
from dynamics.schema import ConfigError, choose

LARGEST = 2**63  # of whole numbers in a config
DEEPEST = 32  # blocks and tuples within each other
PLAIN = 'values of a config are numbers, words, True, False, None, tuples, and blocks with words as names'


def load(path: str) -> Config:
  """The nested dict of a config file. 'file.py:small' calls its get_config('small'), one of its VARIANTS where it has any.

  Raises:
    ConfigError: a file that is not there, does not run, or gives no config.
  """
  file, argument = pathlib.Path(path), ()
  if ':' in path and not is_file(file):
    name, _, word = path.rpartition(':')
    file, argument = pathlib.Path(name), (word,)
  if not is_file(file):
    near = sorted(str(p) for p in pathlib.Path('configs').glob('[!_]*.py'))
    raise ConfigError(f'{_short(path)} is no file; there are: {", ".join(near) or "no configs in this folder"}.')
  names = {'__name__': f'config_{file.stem}', '__file__': str(file)}
  try:
    exec(compile(file.read_bytes(), str(file), 'exec'), names)  # an import would leave a __pycache__ beside the config
    if 'get_config' not in names:
      raise ConfigError(f'{path} has no function get_config(); a config file must define one.')
    _check_argument(path, names['get_config'], argument)
    if argument and isinstance(names.get('VARIANTS'), Mapping):
      choose(f'{file}: the variant', *argument, {word: {} for word in names['VARIANTS'] if word})
    config = names['get_config'](*argument)
    if not isinstance(config, ml_collections.ConfigDict):
      raise ConfigError(f'{path}: get_config() gives {type(config).__name__}; it must give an ml_collections.ConfigDict.')
    content = config.to_dict()
  except (ConfigError, KeyboardInterrupt):
    raise
  except BaseException as error:  # a config file may fail in any way, and its author wants the reason in a sentence
    raise ConfigError(f'{_place(error, file)} does not run: {type(error).__name__}: {_message(error)}.') from error
  return plain(content, path)


def digest(where: str, paths: Iterable[pathlib.Path]) -> str:
  """A digest of the names and the bytes of data files.

  Raises:
    ConfigError: a file that cannot be read.
  """
  try:
    stats = [(path, path.stat()) for path in paths]
    parts = [(path.name, _digest(path, stat.st_mtime_ns, stat.st_size)) for path, stat in stats]
  except OSError as error:
    raise ConfigError(f'{where}: {error.filename} cannot be read: {error.strerror}.') from error
  return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@functools.cache
def _digest(path: pathlib.Path, changed: int, size: int) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


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


def _check_argument(path: str, get_config: Callable, argument: tuple[str, ...]) -> None:
  try:
    inspect.signature(get_config).bind(*argument)
  except TypeError as error:
    takes = 'takes no argument' if argument else "takes an argument: name it behind a colon, 'file.py:small'"
    raise ConfigError(f'{path}: get_config() {takes}.') from error


def is_file(path: str | pathlib.Path) -> bool:
  """Whether there is such a file."""
  try:
    return pathlib.Path(path).is_file()
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
