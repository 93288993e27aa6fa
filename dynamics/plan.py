"""From a config to cells, and from a cell to its name. No jax: tables and figures ask here for what was run.

A config is nested mappings of plain values. `sweep` is a tuple of pairs (field, values), or (fields, rows) where several
fields move together; the product of all pairs is run. Fields under `hyper`, and the seeds, become the member axis of one
cell; every other field is static, and each of its values is a cell of its own.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from dynamics.schema import ConfigError, unknown

Config = dict[str, Any]


class Cell(NamedTuple):
  """All members that share one compiled program: the unit that is run, stored and reproduced."""

  config: Config  # resolved; without hyper, seeds and sweep
  seeds: tuple[int, ...]  # (m,)
  hyper: dict[str, tuple[float, ...]]  # name -> (m,)
  revision: int  # of the experiment's code
  swept: dict[str, Any]  # the static fields that tell this cell from its sisters; not part of its identity

  @property
  def members(self) -> int:
    return len(self.seeds)


def cells(config: Mapping[str, Any], resolve: Callable[[Config], tuple[Config, int]]) -> list[Cell]:
  """The cells of a config, in the order of its sweep.

  Args:
    config: as a config file gives it.
    resolve: checks a config without sweep and fills in every default; (resolved, revision).

  Raises:
    ConfigError: a sweep that is no sweep, or names no field; and what `resolve` refuses.
  """
  plain = {name: value for name, value in config.items() if name != 'sweep'}
  base, _ = resolve(plain)
  found: dict[str, Cell] = {}
  for choice in _choices(config.get('sweep', ()), base):
    full, revision = resolve(_with(plain, choice))
    hyper, seeds = full.pop('hyper'), full.pop('seeds')
    static = {path: value for path, value in choice.items() if not path.startswith('hyper.')}
    cell = Cell(full, seeds, {name: (value,) * len(seeds) for name, value in hyper.items()}, revision, static)
    key = json.dumps([full, sorted(hyper)], sort_keys=True)
    found[key] = _joined(found[key], cell) if key in found else cell
  return list(found.values())


def identity(cell: Cell) -> str:
  """The name of a cell's run: a digest of everything that decides its numbers, defaults included."""
  return hashlib.sha256(canonical(cell).encode()).hexdigest()[:16]


def canonical(cell: Cell) -> str:
  """What the digest is of. Floats in `repr`, which tells any two apart."""
  return json.dumps({'config': cell.config, 'seeds': cell.seeds, 'hyper': cell.hyper, 'revision': cell.revision}, sort_keys=True)


def flat(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """'data.p' -> 113, and so on."""
  out = {}
  for name, value in config.items():
    out |= flat(value, f'{prefix}{name}.') if isinstance(value, Mapping) else {f'{prefix}{name}': value}
  return out


def assign(config: Mapping[str, Any], path: str, value: Any) -> Config:
  """A copy of `config` with one field set. A new `name` of a block clears the fields of the old one."""
  head, _, rest = path.partition('.')
  if not rest:
    renamed = head == 'name' and config.get('name') not in (None, value)
    return {'name': value} if renamed else {**config, head: value}
  block = config.get(head, {})
  if not isinstance(block, Mapping):
    raise ConfigError(f'{path} cannot be set: {head} is a single value, {block!r}.')
  return {**config, head: assign(block, rest, value)}


def _choices(sweep: Any, base: Config) -> Iterator[Config]:
  shape = "a sweep is a tuple of pairs such as (('hyper.lr', (0.1, 0.2)),)"
  if not isinstance(sweep, (tuple, list)):
    raise ConfigError(f'sweep is {sweep!r}; {shape}.')
  valid, axes = flat(base), []
  for pair in sweep:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[1], (tuple, list)) or not pair[1]:
      raise ConfigError(f'sweep has {pair!r}; {shape}.')
    named = isinstance(pair[0], str) or (isinstance(pair[0], (tuple, list)) and all(isinstance(f, str) for f in pair[0]))
    if not named:
      raise ConfigError(f'sweep has {pair!r}; {shape}.')
    fields, rows = ((pair[0],), [(v,) for v in pair[1]]) if isinstance(pair[0], str) else (tuple(pair[0]), pair[1])
    for field in fields:
      _check_field(field, valid)
    for row in rows:
      if not isinstance(row, (tuple, list)) or len(row) != len(fields):
        raise ConfigError(f'sweep over {", ".join(fields)} has the row {row!r}; it must have {len(fields)} values.')
    axes.append([dict(zip(fields, row, strict=True)) for row in rows])
  for combination in itertools.product(*axes):
    # A block's name first, because a new name clears its block.
    merged = {k: v for part in combination for k, v in part.items()}
    yield dict(sorted(merged.items(), key=lambda item: not item[0].endswith('.name')))


def _check_field(field: str, valid: Mapping[str, Any]) -> None:
  head, _, last = field.rpartition('.')
  if field in valid or field == 'seeds':
    if field == 'seeds':
      raise ConfigError('sweep names seeds, which need no sweep: set seeds = (0, 1, 2).')
    return
  block_known = any(path.startswith(f'{head}.') for path in valid)
  twins = [path for path in valid if path.rpartition('.')[2] == last]
  if twins and head.split('.')[0] == 'hyper':
    raise ConfigError(f'sweep names {field}, but {last} is static, not a traced value: sweep {twins[0]}.')
  if any(path.startswith('hyper.') for path in twins):
    raise ConfigError(f'sweep names {field}, but {last} is a traced value, not a static one: sweep hyper.{last}.')
  if not block_known or head.split('.')[0] == 'hyper':
    raise ConfigError(unknown(f'sweep: {field}', field, valid))
  # Another name of the block, set by the same sweep, may have this field: `resolve` will tell.


def _with(config: Mapping[str, Any], choice: Mapping[str, Any]) -> Config:
  out = dict(config)
  for path, value in choice.items():
    out = assign(out, path, value)
  return out


def _joined(a: Cell, b: Cell) -> Cell:
  return a._replace(seeds=a.seeds + b.seeds, hyper={name: a.hyper[name] + b.hyper[name] for name in a.hyper})
