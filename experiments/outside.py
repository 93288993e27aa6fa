"""Components from outside of the project, which a config names as 'package.module:name'.

The name is of a class of modules, of an optax factory, of a loss, or of a maker, with or without `@component`. What its
arguments may be set to is read off their annotations and defaults; the digest of its source file stands for its revision.
"""

import functools
import hashlib
import importlib
import inspect
import pathlib
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import optax

from dynamics import modules, optim
from dynamics.data.arrays import from_arrays, of_data
from dynamics.optim.factories import traceable
from dynamics.plan import last
from dynamics.schema import ConfigError, Range, Traced, nearest
from dynamics.types import Data, Intervention, Optimizer, Probe, Task

SUPPLIED = {'model': ('outputs', 'vocabulary'), 'lr_schedule': ('steps',)}  # what a caller gives
HELD = {'model': ('rngs', 'key', 'parent', 'name')}  # arguments that are neither supplied nor fields
GIVES = {'data': Task, 'optimizer': Optimizer, 'probes': Probe, 'interventions': Intervention}


class Target(NamedTuple):
  """What a name stands for."""

  name: str  # 'package.module:name'
  call: Callable
  arguments: Mapping[str, inspect.Parameter]


def is_outside(name: Any) -> bool:
  return isinstance(name, str) and ':' in name


@functools.cache
def maker(block: str, name: str) -> Callable:
  """The maker of a component of `block`, as one of the project's own.

  Raises:
    ConfigError: a name that does not import or is nothing that can be called, or an argument that no config can set.
  """
  target = Target(name, call := _imported(block, name), _arguments(name, call))
  make, fields = {'model': _model, 'loss': _loss, 'optimizer': _optimizer, 'data': _data}.get(block, _plain)(block, target)

  def made(*supplied, **chosen):
    result = make(supplied, chosen)
    kind = GIVES.get(block)
    if kind and not isinstance(result, kind):
      raise ConfigError(f'{name} gives {_article(type(result).__name__)}; for {block} it must give a {kind.__name__}.')
    return result

  made.__name__, made.__doc__ = last(name), inspect.getdoc(call)
  made.__signature__ = inspect.Signature([*fields.values()])
  made.unwritable = {n: _annotation(p.annotation) for n, p in target.arguments.items() if n not in fields and n != RATE}
  made.needs, made.files = getattr(call, 'needs', ()), getattr(call, 'files', None)
  made.revision = _digest(block, name, call)
  return made


# ---- the object -----------------------------------------------------------------------------------------------------


def _imported(block: str, name: str) -> Callable:
  module_name, _, attribute = name.partition(':')
  try:
    module = importlib.import_module(module_name)
  except Exception as error:  # the module is the user's, and may fail in any way
    text = (str(error).splitlines() or [''])[0]
    raise ConfigError(f'{block}: {name} does not import: {type(error).__name__}: {text}.') from error
  if not hasattr(module, attribute):
    here = [n for n, value in vars(module).items() if getattr(value, '__module__', '') == module_name]
    raise ConfigError(f'{block}: {module_name} has no {attribute!r}; {nearest(attribute, here)}.')
  value = getattr(module, attribute)
  if not callable(value) or isinstance(value, nn.Module):
    raise ConfigError(f'{block}: {name} is {_article(type(value).__name__)}; it must be a class or a function.')
  return value


def _arguments(name: str, call: Callable) -> dict[str, inspect.Parameter]:
  try:
    # A class of nnx hides its arguments behind its metaclass.
    parameters = inspect.signature(call.__init__.__get__(object()) if inspect.isclass(call) else call).parameters
  except (TypeError, ValueError) as error:
    raise ConfigError(f'{name} does not show its arguments: wrap it in a function.') from error
  variable, names = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD), vars(sys.modules[call.__module__])
  return {n: p.replace(annotation=_looked_up(p.annotation, names)) for n, p in parameters.items() if p.kind not in variable}


def _looked_up(annotation: Any, names: Mapping[str, Any]) -> Any:
  """What an annotation in quotes stands for; itself where that cannot be told."""
  try:
    return eval(annotation, dict(names)) if isinstance(annotation, str) else annotation
  except Exception:
    return annotation


def _digest(block: str, name: str, call: Callable) -> str:
  try:
    source = pathlib.Path(inspect.getsourcefile(inspect.unwrap(call)))
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]
  except (TypeError, OSError) as error:
    raise ConfigError(f'{block}: {name} has no source file, whose digest would stand for it: wrap it in a function.') from error


# ---- what a block makes of it ---------------------------------------------------------------------------------------


def _plain(block: str, target: Target):
  names = SUPPLIED.get(block, ())
  given = lambda supplied: {n: v for n, v in zip(names, supplied, strict=False) if n in target.arguments}
  fields = _fields(block, target, (*names, *HELD.get(block, ())))
  return (lambda supplied, chosen: target.call(**given(supplied), **chosen)), fields


def _model(block: str, target: Target):
  """A class or maker that takes `rngs` is one of nnx, one that takes `key` of equinox; each member draws its own."""
  call, fields = _plain(block, target)
  drawn = {'rngs': modules.from_nnx, 'key': modules.from_equinox}
  source = next((name for name in drawn if name in target.arguments), None)
  if source is None or (inspect.isclass(target.call) and issubclass(target.call, nn.Module)):
    return call, fields

  def make(supplied, chosen):
    module = lambda value: call(supplied, {**chosen, source: value})
    return lambda x: drawn[source](module, x)

  return make, fields


def _loss(block: str, target: Target):
  """A function whose first arguments have no default is the loss itself: (outputs, targets) -> (n,)."""
  first = list(target.arguments.values())[:2]
  if not first or first[0].default is not inspect.Parameter.empty or first[0].kind is inspect.Parameter.KEYWORD_ONLY:
    return _plain(block, target)
  fields = _fields(block, target, tuple(p.name for p in first))
  return (lambda supplied, chosen: lambda outputs, targets: target.call(outputs, targets, **chosen)), fields


def _data(block: str, target: Target):
  """A maker may give a Task, Data, or arrays (x, y) or (x, y, x_test, y_test)."""
  call, fields = _plain(block, target)

  def make(supplied, chosen):
    result = call(supplied, chosen)
    if isinstance(result, Task):
      return result
    if isinstance(result, Data):
      return of_data(result)
    return from_arrays(*result) if isinstance(result, tuple) and len(result) in (2, 4) else result

  return make, fields


RATE = 'learning_rate'  # optax's name of hyper.lr
NUMBERS = ('float', 'ArrayLike', 'Scalar')  # in the annotation of an argument that takes a number


def _optimizer(block: str, target: Target):
  """Numeric arguments of an optax factory are hyper values where they can be traced; those that default to None may stay away."""
  empty = inspect.Parameter.empty
  required = tuple((n, 0.5) for n, p in target.arguments.items() if p.default is empty)
  hyper = {}
  for name, p in target.arguments.items():
    annotated = any(word in str(p.annotation) for word in NUMBERS) and 'Callable[' not in str(p.annotation)
    number = isinstance(p.default, float) or (annotated and p.default in (None, empty)) or name == RATE
    if isinstance(p.annotation, Range) or not number or not traceable(target.call, name, required):
      continue
    bounds = Traced(above=0.0) if name == RATE else Traced()
    hyper[name] = p.replace(name='lr' if name == RATE else name, annotation=bounds, kind=p.KEYWORD_ONLY)
  fields = _fields(block, target, tuple(hyper)) | {p.name: p for p in hyper.values()}
  stated = {'normalised': inspect.Parameter('normalised', inspect.Parameter.KEYWORD_ONLY, default=None, annotation=bool | None)}

  def make(supplied, chosen):
    normalised, rate = chosen.pop('normalised', None), chosen.get('lr')
    result = target.call(**{RATE if n == 'lr' and RATE in hyper else n: v for n, v in chosen.items()})
    if isinstance(result, optax.GradientTransformation):
      return optim.from_optax(result, rate, normalised=normalised)
    return result

  return make, stated | fields


# ---- its fields -----------------------------------------------------------------------------------------------------


def _fields(block: str, target: Target, without: tuple[str, ...]) -> dict[str, inspect.Parameter]:
  """The arguments that a config can set, as keyword-only ones with the kinds of `dynamics.schema`.

  Raises:
    ConfigError: an argument without default that no config can set.
  """
  fields = {}
  for name, p in target.arguments.items():
    if name in without:
      continue
    kind = writable(p.annotation, p.default)
    if kind is not None and p.kind is not p.POSITIONAL_ONLY:
      fields[name] = p.replace(annotation=kind, kind=p.KEYWORD_ONLY)
    elif p.default is p.empty:
      what = 'only by position' if p.kind is p.POSITIONAL_ONLY else f'as {_annotation(p.annotation)}'
      raise ConfigError(
        f'{block}: {target.name} needs {name} {what}, which no config can write: wrap it in a function that sets it.'
      )
  return fields


PLAIN = (bool, int, float, str)


def writable(annotation: Any, default: Any = inspect.Parameter.empty) -> Any:
  """The kind of `dynamics.schema` of an argument; None where a config cannot write it."""
  if default is not inspect.Parameter.empty and not _is_plain(default):
    return None
  if isinstance(annotation, Range) or annotation in PLAIN or typing.get_origin(annotation) is Literal:
    return annotation
  if annotation is inspect.Parameter.empty:
    return type(default) if type(default) in PLAIN else tuple if isinstance(default, (tuple, list)) else Any
  origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
  if origin in (typing.Union, types.UnionType):
    kinds = [type(None) if kind is type(None) else writable(kind) for kind in inner]
    fitting = [kind for kind in kinds if kind not in (None, type(None), Any)]
    return typing.Union[tuple([*fitting, *([type(None)] if type(None) in inner else [])])] if fitting else None  # noqa: UP007
  if annotation in (tuple, list) or origin in (tuple, list) or getattr(origin, '__name__', '') == 'Sequence':
    kind = writable(inner[0]) if inner else None
    return tuple[kind, ...] if kind not in (None, Any) else tuple
  return None


def _is_plain(value: Any) -> bool:
  return value is None or isinstance(value, PLAIN) or (isinstance(value, (tuple, list)) and all(map(_is_plain, value)))


def _annotation(annotation: Any) -> str:
  return annotation.__name__ if isinstance(annotation, type) else str(annotation).rpartition('.')[2]


def _article(word: str) -> str:
  return f'{"an" if word[0] in "aeiouAEIOU" else "a"} {word}'
