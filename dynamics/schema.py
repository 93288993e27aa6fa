"""Config fields are the arguments of functions: names, types, ranges and defaults are read off their signatures.

No jax here. Every error is one sentence that names the field, the value and what would be right.
"""

import contextlib
import difflib
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

TINY, HUGE = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # sizes of float32 numbers


class ConfigError(ValueError):
  """A config that cannot be run. Its text is for the user: one sentence."""


class Range(NamedTuple):
  """A finite number of `kind` within bounds: used as the annotation of an argument."""

  kind: type
  least: float | None = None
  most: float | None = None
  above: float | None = None
  below: float | None = None
  traced: bool = False

  def words(self) -> str:
    bounds = {'at least': self.least, 'at most': self.most, 'above': self.above, 'below': self.below}
    exact = lambda bound: f'{bound:,}' if isinstance(bound, int) else f'{bound:g}'
    text = ' and '.join(f'{word} {exact(bound)}' for word, bound in bounds.items() if bound is not None)
    return text or 'finite'

  def holds(self, value) -> bool:
    return (
      abs(value) < float('inf')
      and (self.least is None or value >= self.least)
      and (self.most is None or value <= self.most)
      and (self.above is None or value > self.above)
      and (self.below is None or value < self.below)
    )


def Traced(**bounds: float) -> Range:
  """The annotation of a hyper value: a float32 within bounds that may differ between the members of one program."""
  return Range(float, **bounds, traced=True)


KINDS = {int: 'a whole number', float: 'a number', bool: 'True or False', str: 'a word', tuple: 'a tuple'}


def fields(*functions: Callable) -> dict[str, inspect.Parameter]:
  """The static keyword-only arguments of functions: what a block of a config may set. Several functions may share one."""
  return {name: parameter for function in functions for name, parameter in _keywords(function)[0].items()}


def hyper_values(function: Callable) -> Mapping[str, inspect.Parameter]:
  """The arguments annotated `Traced(...)`: what the function reads from the block `hyper` of a config."""
  return _keywords(function)[1]


@functools.cache
def _keywords(function: Callable) -> tuple[Mapping[str, inspect.Parameter], Mapping[str, inspect.Parameter]]:
  """Keyword-only arguments: static ones, traced ones. Signatures are slow to read, and a sweep asks for them in every cell."""
  parameters = inspect.signature(function).parameters.items()
  keywords = {name: parameter for name, parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
  chosen = lambda traced: types.MappingProxyType({name: p for name, p in keywords.items() if _is_traced(p) == traced})
  return chosen(False), chosen(True)


def _is_traced(parameter: inspect.Parameter) -> bool:
  return isinstance(parameter.annotation, Range) and parameter.annotation.traced


def resolve(given: Mapping[str, Any], allowed: Mapping[str, inspect.Parameter], where: str, leave: tuple = ()) -> dict[str, Any]:
  """`given` checked against arguments and filled up with their defaults.

  Args:
    given: the fields of one block of a config.
    allowed: from `fields`.
    where: the block's path, for the sentences: 'data'.
    leave: arguments that the caller supplies and a config must not.

  Raises:
    ConfigError: a name, type or value that does not fit, or a field without default that is missing.
  """
  allowed = {name: parameter for name, parameter in allowed.items() if name not in leave}
  for name in given:
    if name not in allowed:
      raise ConfigError(unknown(f'{where}.{name}', name, allowed, where))
  out = {}
  for name, parameter in allowed.items():
    if name in given:
      out[name] = check(f'{where}.{name}', given[name], parameter.annotation)
    elif _is_traced(parameter) and parameter.default is None:
      continue  # the component goes without it
    elif parameter.default is inspect.Parameter.empty:
      raise ConfigError(f'{where}.{name} is missing: it has no default, so the config must set it.')
    else:
      out[name] = parameter.default
  return out


def check(path: str, value: Any, kind: Any) -> Any:
  """`value` as `kind`, or a sentence. Whole numbers pass as floats and lists as tuples; nothing else is converted."""
  if isinstance(kind, Range):
    value = check(path, value, kind.kind)
    if not kind.holds(value):
      raise ConfigError(f'{path} is {value}; it must be {kind.words()}.')
    if kind.kind is float and value and not TINY <= abs(value) <= HUGE:
      raise ConfigError(f'{path} is {value}, which a float32 does not hold: sizes are 0, or between {TINY:.3g} and {HUGE:.3g}.')
    return value
  if get_origin(kind) is Literal:
    if value not in get_args(kind):
      raise ConfigError(f'{path} is {shown(value)}; {nearest(value, get_args(kind))}.')
    return value
  if get_origin(kind) is tuple or kind is tuple:
    if not isinstance(value, (tuple, list)):
      raise ConfigError(f'{path} is {shown(value)}, which is {_kind(value)}; it must be a tuple, such as (1, 2).')
    inner = get_args(kind)[0] if get_args(kind) else Any
    return tuple(check(f'{path}[{i}]', v, inner) for i, v in enumerate(value))
  if kind is Any or kind is inspect.Parameter.empty:
    return value
  if get_origin(kind) in (typing.Union, types.UnionType):
    kinds = [k for k in get_args(kind) if k is not type(None)]
    if value is None and len(kinds) < len(get_args(kind)):
      return None
    for k in kinds[:-1]:
      with contextlib.suppress(ConfigError):
        return check(path, value, k)
    return check(path, value, kinds[-1])
  fits = {
    bool: isinstance(value, bool),
    int: isinstance(value, numbers.Integral) and not isinstance(value, bool),
    float: isinstance(value, numbers.Real) and not isinstance(value, bool),
    str: isinstance(value, str),
  }
  if not fits[kind]:
    raise ConfigError(f'{path} is {shown(value)}, which is {_kind(value)}; it must be {KINDS[kind]}.')
  try:
    return kind(value)
  except OverflowError as error:
    raise ConfigError(f'{path} is a whole number that no float holds.') from error


def choose(path: str, name: Any, options: Mapping[str, Any]) -> Any:
  """The option of a name, or a sentence with the nearest one."""
  if name not in tuple(options):  # a list or a block is no name, and cannot be looked up
    raise ConfigError(f'{path} is {shown(name)}; {nearest(name, options)}.')
  return options[name]


def shown(value: Any, most: int = 100) -> str:
  """A value as a sentence shows it: its beginning, where it is long."""
  text = repr(value)
  return text if len(text) <= most else f'{text[:most]}...'


def unknown(path: str, name: str, valid, where: str = '') -> str:
  """The sentence for a field that does not exist."""
  block = f' of {where}' if where else ''
  return f'{path} is no field{block}; {nearest(name, valid)}.'


def nearest(name: Any, valid) -> str:
  valid = [str(v) for v in valid]
  near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
  if near:
    return f'did you mean {near[0]!r}? (there are: {", ".join(valid)})'
  return f'it must be one of: {", ".join(valid)}' if valid else 'it takes none'


def _kind(value: Any) -> str:
  return KINDS.get(type(value), f'of type {type(value).__name__}')
