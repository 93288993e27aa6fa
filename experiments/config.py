"""Command lines about configs: --config=FILE and --config.FIELD=VALUE."""

import ast
from collections.abc import Sequence

from dynamics import plan
from dynamics.schema import ConfigError
from experiments import files
from experiments.resolve import resolve_config

USAGE = '--config=configs/NAME.py'
LONGEST = 10_000  # characters of a value


def read(argv: Sequence[str]) -> tuple[list[plan.Cell], list[str]]:
  """The cells that a command line asks for, and the arguments that are not about the config.

  `--config=FILE` names a file with `get_config()`; `--config.data.p=59` sets one field of it.

  Raises:
    ConfigError: one sentence on the file, field or value that is wrong.
  """
  paths, texts, rest = split(argv)
  return cells(paths[-1], values(texts)), rest


def split(argv: Sequence[str]) -> tuple[list[str], list[tuple[str, str]], list[str]]:
  """The paths of configs, fields with the texts of their values, and the arguments that are not about configs.

  Raises:
    ConfigError: no path, or no value.
  """
  paths, texts, rest = [], [], []
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
        paths.append(value)
      else:
        texts.append((flag.removeprefix('--config.'), value))
    else:
      rest.append(word)
  if not paths:
    raise ConfigError(f'no config is named: add {USAGE}.')
  return paths, texts, rest


def values(texts: Sequence[tuple[str, str]]) -> list[tuple[str, object]]:
  """Fields with their values."""
  return [(field, files.plain(literal(text), f'--config.{field}')) for field, text in texts]


def cells(path: str, changes: Sequence[tuple[str, object]] = ()) -> list[plan.Cell]:
  """The cells of a config file with some of its fields changed. Whether their parts fit together, `check` tells."""
  config = files.load(path)
  for field, value in sorted(changes, key=lambda change: change[0] != 'sweep'):  # the sweep first: it forbids what it sets
    config = plan.override(config, field, value)
  return plan.cells(config, resolve_config)


def literal(text: str) -> object:
  """A python value, or the text itself: '1e-3' is a number and 'float16' a word.

  Raises:
    ConfigError: a text too long or too deeply nested to be a value.
  """
  if len(text) > LONGEST:
    raise ConfigError(f'a value of {len(text)} characters is no value of a config; {LONGEST} are allowed.')
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError, TypeError):
    return text
  except (RecursionError, MemoryError) as error:
    raise ConfigError(f'the value {text[:40]}... is nested too deeply.') from error
