"""What a component is: a maker, whose signature says all that it reads. No jax here.

A *maker* is a function that returns a task, model, transform, init, objective, loss, optimizer, learning-rate schedule,
stopping rule, intervention or probe. Its arguments are of three kinds:

  positional                  what the caller supplies: the number of outputs, the length of a run
  keyword-only                static fields, which a config writes in the component's block
  keyword-only, Traced(...)   hyper values, which a config writes in the block `hyper`; they may be traced

A new component is one file with a maker under `@component`. No list names it: its package finds it.
"""

import importlib
import inspect
import pathlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from dynamics.schema import ConfigError, hyper_values

NEEDS = {
  'labels': 'integer labels',
  'float_targets': 'float targets',
  'tokens': 'inputs of integer tokens',
  'features': 'inputs of floats',
  'hidden_layers': 'a model with hidden layers that it shows',
  'chain': 'a model whose weights form a chain of matrices',
  'source': 'a block source',
}


def component(
  *, needs: tuple[str, ...] = (), revision: int = 1, files: Callable[..., Iterable[pathlib.Path]] | None = None
) -> Callable[[Callable], Callable]:
  """Marks a maker.

  Args:
    needs: what the rest of the run must offer, from `NEEDS`.
    revision: raise it when a change of code changes the numbers: stored runs and tables of the old code are then not found.
    files: static fields -> the files on the user's disk that it reads. Their digests are part of a run's identity.
  """

  def mark(maker):
    unknown = set(needs) - set(NEEDS)
    if unknown:
      raise ValueError(f'{maker.__name__} needs {sorted(unknown)}; there are {", ".join(NEEDS)}')
    maker.needs, maker.revision, maker.files = tuple(needs), revision, files
    return maker

  return mark


class Part(NamedTuple):
  """A maker with its static fields, as a config names them."""

  maker: Callable
  fields: Mapping[str, Any]

  @property
  def reads(self) -> tuple[str, ...]:
    """The names of the hyper values that the maker receives."""
    return tuple(hyper_values(self.maker))

  def make(self, hyper: Mapping[str, Any], *supplied) -> Any:
    """The component, for these hyper values. One whose default is None may be missing."""
    return self.maker(*supplied, **self.fields, **{name: hyper[name] for name in self.reads if name in hyper})


def makers(package: str, path: Iterable[str]) -> dict[str, Callable]:
  """name -> maker, for all modules of a package, in the order of the alphabet: `makers(__name__, __path__)`."""
  table = {}
  for module in sorted(info.name for info in pkgutil.iter_modules(path)):
    for name, value in vars(importlib.import_module(f'{package}.{module}')).items():
      if inspect.isfunction(value) and hasattr(value, 'revision') and value.__module__ == f'{package}.{module}':
        if name != value.__name__ or name in table:
          raise ValueError(f'{package}: {name} names two components')
        table[name] = value
  return dict(sorted(table.items()))


def hyper_signature(parts: Mapping[str, Part]) -> dict[str, inspect.Parameter]:
  """The union of what the parts of a run read: name -> argument.

  Raises:
    ConfigError: two parts that read one name with different bounds or defaults.
  """
  union: dict[str, tuple[str, inspect.Parameter]] = {}
  for where, part in parts.items():
    for name, parameter in hyper_values(part.maker).items():
      first, known = union.setdefault(name, (where, parameter))
      if (known.annotation, known.default) != (parameter.annotation, parameter.default):
        raise ConfigError(f'hyper.{name} is read by {first} and by {where}, which differ in its bounds or its default.')
  return {name: parameter for name, (_, parameter) in union.items()}


def readers(families: Mapping[str, Mapping[str, Callable]], name: str) -> list[str]:
  """Which components of all families read a hyper value: ['data modular', ...]."""
  return [
    f'{block} {component_name}'
    for block, table in families.items()
    for component_name, maker in table.items()
    if name in hyper_values(maker)
  ]
