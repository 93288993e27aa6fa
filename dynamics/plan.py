"""From a config to cells, and from a cell to its name. No jax: tables and figures ask here for what was run.

A config is nested mappings of plain values. `sweep` is a tuple of pairs (field, values), or (fields, rows) where several
fields move together; the product of all pairs is run. Fields under `hyper`, and the seeds, become the member axis of one
cell; every other field is static, and each of its values is a cell of its own.
"""

import collections
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from dynamics.schema import ConfigError, unknown

Config = dict[str, Any]


class SourceRun(NamedTuple):
  """Members of another cell, from which a run starts or at which it looks."""

  cell: 'Cell'
  members: tuple[int, ...]  # (m,) of that cell, one for each of ours
  at: int  # the step of its checkpoint
  take: str  # 'variables', or 'state' to go on with its training


class Cell(NamedTuple):
  """All members that share one compiled program: the unit that is run, stored and reproduced."""

  config: Config  # of the training, resolved; without hyper, seeds, sweep, probes and milestones
  seeds: tuple[int, ...]  # (m,)
  hyper: dict[str, tuple[float, ...]]  # name -> (m,)
  revisions: dict[str, int | str]  # of the components that train; digests of those from outside
  swept: dict[str, Any]  # the static fields that tell this cell from its sisters; not part of its identity
  probes: Mapping[str, Config] = {}  # probe -> its fields, schedule and revision
  milestones: tuple[int, ...] = ()  # steps whose checkpoints are kept
  source: SourceRun | None = None

  @property
  def members(self) -> int:
    return len(self.seeds)


def cells(config: Mapping[str, Any], resolve: Callable[[Config], Cell]) -> list[Cell]:
  """The cells of a config, in the order of its sweep.

  Args:
    config: as a config file gives it.
    resolve: checks a config without sweep and fills in every default: a cell of its seeds.

  Raises:
    ConfigError: a sweep that is no sweep, names no field, or names one setting twice; and what `resolve` refuses.
  """
  plain = {name: value for name, value in config.items() if name != 'sweep'}
  base = resolve(plain)
  joined: dict[str, Cell] = {}
  for choice in _choices(config.get('sweep', ()), _addresses(base)):
    cell = resolve(_with(plain, choice))
    cell = cell._replace(swept={path: value for path, value in choice.items() if not path.startswith('hyper.')})
    key = json.dumps([cell.config, sorted(cell.hyper), cell.probes, cell.milestones, _source_key(cell)], sort_keys=True)
    joined[key] = _joined(joined[key], cell) if key in joined else cell
  for cell in joined.values():
    _check_members(cell)
  return list(joined.values())


def identity(cell: Cell) -> str:
  """The name of a cell's run: a digest of everything that decides its numbers, defaults included. Probes decide none."""
  return _digest(canonical(cell))


def canonical(cell: Cell) -> str:
  """What the digest is of. Floats in `repr`, which tells any two apart."""
  source = cell.source and {**cell.source._asdict(), 'cell': identity(cell.source.cell)}
  content = {'config': cell.config, 'seeds': cell.seeds, 'hyper': cell.hyper, 'revisions': cell.revisions}
  return json.dumps(content | ({'source': source} if source else {}), sort_keys=True)


def alike(cell: Cell) -> str:
  """The same for cells that differ in what their programs take as arguments: seeds of members and data, milestones."""
  return repr(cell._replace(config={**cell.config, 'data_seed': 0}, seeds=(len(cell.seeds),), swept={}, milestones=()))


def table_identity(cell: Cell, probe: str) -> str:
  """The name of a probe's table under its run: 'distance-1f2e3d4c', a digest of its fields, schedule and revision."""
  return f'{probe}-{_digest(json.dumps(cell.probes[probe], sort_keys=True))[:8]}'


def _digest(text: str) -> str:
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def last(name: str) -> str:
  """The name by which a component is addressed: 'Net' of 'package.nets:Net'."""
  return name.rpartition(':')[2]


def flat(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """'data.p' -> 113, and so on. A tuple of named blocks is addressed by their names: 'transforms.subspace.most'."""
  out = {}
  for name, value in config.items():
    if _is_named_tuple(value):
      value = {last(block['name']): {'on': True, **{f: v for f, v in block.items() if f != 'name'}} for block in value}
    out |= flat(value, f'{prefix}{name}.') if isinstance(value, Mapping) else {f'{prefix}{name}': value}
  return out


def assign(config: Mapping[str, Any], path: str, value: Any) -> Config:
  """A copy of `config` with one field set. A new `name` of a block clears the fields of the old one.

  Raises:
    ConfigError: a field of something that has none.
  """
  head, _, rest = path.partition('.')
  if not rest:
    renamed = head == 'name' and config.get('name') not in (None, value)
    return {'name': value} if renamed else {**config, head: value}
  block = config.get(head, {})
  if _is_named_tuple(block):
    name, _, field = rest.partition('.')
    names = [last(b['name']) for b in block]
    if name not in names or not field:
      raise ConfigError(unknown(f'{head}.{rest}', name, names))
    return {**config, head: tuple(assign(b, field, value) if last(b['name']) == name else b for b in block)}
  if not isinstance(block, Mapping):
    raise ConfigError(f'{path} cannot be set: {head} is a single value, {block!r}.')
  return {**config, head: assign(block, rest, value)}


def override(config: Mapping[str, Any], path: str, value: Any) -> Config:
  """`assign` as the command line does it: a block given whole is merged into the one that is there, field by field.

  Raises:
    ConfigError: a field that the config's sweep sets, so that the change would be lost.
  """
  for field in _swept_fields(config):
    beneath = field.startswith(f'{path}.') and not isinstance(value, Mapping)  # a block is merged field by field
    if field == path or beneath or path.startswith(f'{field}.'):
      raise ConfigError(f"{path} cannot be set: the config's sweep sets {field}; change the sweep, --config.sweep=..., instead.")
  if isinstance(value, Mapping):
    if not isinstance(_at(config, path), Mapping):
      config = assign(config, path, {})
    for name, inner in value.items():
      if not isinstance(name, str):
        raise ConfigError(f'{path} has the field {name!r}; names of fields are words.')
      if '.' in name:
        raise ConfigError(f'{path} has the key {name!r}; it must be a word: {path}=dict(mine=dict(name={name!r})).')
      config = override(config, f'{path}.{name}', inner)
    return dict(config)
  return assign(config, path, value)


def _at(config: Mapping[str, Any], path: str) -> Any:
  """What a path holds; None where there is nothing."""
  for name in path.split('.'):
    config = config.get(name) if isinstance(config, Mapping) else None
  return config


def _swept_fields(config: Mapping[str, Any]) -> list[str]:
  """The fields that a sweep names, as far as it is one."""
  pairs = config.get('sweep', ())
  heads = [pair[0] for pair in pairs if isinstance(pair, (tuple, list)) and pair] if isinstance(pairs, (tuple, list)) else []
  return [f for head in heads for f in ([head] if isinstance(head, str) else head if isinstance(head, (tuple, list)) else [])]


def _is_named_tuple(value: Any) -> bool:
  blocks = isinstance(value, (tuple, list)) and value
  return bool(blocks) and all(isinstance(block, Mapping) and isinstance(block.get('name'), str) for block in value)


def _addresses(cell: Cell) -> dict[str, Any]:
  """Every field of a cell under its path."""
  return flat({**cell.config, 'probes': cell.probes, 'hyper': cell.hyper, 'milestones': cell.milestones})


def _choices(sweep: Any, valid: Config) -> Iterator[Config]:
  shape = "a sweep is a tuple of pairs such as (('hyper.lr', (0.1, 0.2)),)"
  if not isinstance(sweep, (tuple, list)):
    raise ConfigError(f'sweep is {sweep!r}; {shape}.')
  axes, named_before = [], set()
  for pair in sweep:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[1], (tuple, list)) or not pair[1]:
      raise ConfigError(f'sweep has {pair!r}; {shape}.')
    named = isinstance(pair[0], str) or (isinstance(pair[0], (tuple, list)) and all(isinstance(f, str) for f in pair[0]))
    if not named:
      raise ConfigError(f'sweep has {pair!r}; {shape}.')
    fields, rows = ((pair[0],), [(v,) for v in pair[1]]) if isinstance(pair[0], str) else (tuple(pair[0]), pair[1])
    for field in fields:
      _check_field(field, valid)
      if field in named_before:
        raise ConfigError(f'sweep names {field} twice: give all of its values in one pair.')
      named_before.add(field)
    for row in rows:
      if not isinstance(row, (tuple, list)) or len(row) != len(fields):
        raise ConfigError(f'sweep over {", ".join(fields)} has the row {row!r}; it must have {len(fields)} values.')
    doubled = [row for i, row in enumerate(rows) if row in rows[:i]]
    if doubled:
      raise ConfigError(f'sweep over {", ".join(fields)} has {", ".join(map(str, doubled[0]))} twice: each setting only once.')
    axes.append([dict(zip(fields, row, strict=True)) for row in rows])
  for combination in itertools.product(*axes):
    # A block's name first, because a new name clears its block.
    merged = {k: v for part in combination for k, v in part.items()}
    yield dict(sorted(merged.items(), key=lambda item: not item[0].endswith('.name')))


def _check_field(field: str, valid: Mapping[str, Any]) -> None:
  head, _, last = field.rpartition('.')
  if field == 'seeds':
    raise ConfigError('sweep names seeds, which need no sweep: set seeds = (0, 1, 2).')
  if field in valid:
    return
  block_known = any(path.startswith(f'{head}.') for path in valid)
  twins = [path for path in valid if path.rpartition('.')[2] == last]
  if twins and head.split('.')[0] == 'hyper':
    raise ConfigError(f'sweep names {field}, but {last} is static, not a traced value: sweep {twins[0]}.')
  if any(path.startswith('hyper.') for path in twins):
    raise ConfigError(f'sweep names {field}, but {last} is a traced value, not a static one: sweep hyper.{last}.')
  if not head:  # `resolve` knows the fields at the top
    return
  if not block_known:
    raise ConfigError(unknown(f'sweep: {field}', field, valid))
  # Another name of a block, set by the same sweep, may have this field or read this hyper value: `resolve` will tell.


def _with(config: Mapping[str, Any], choice: Mapping[str, Any]) -> Config:
  out = dict(config)
  for path, value in choice.items():
    out = assign(out, path, value)
  return out


def _source_key(cell: Cell):
  return cell.source and [identity(cell.source.cell), cell.source.at, cell.source.take]


def _joined(a: Cell, b: Cell) -> Cell:
  """The members of both."""
  source = a.source and a.source._replace(members=a.source.members + b.source.members)
  hyper = {name: a.hyper[name] + b.hyper[name] for name in a.hyper}
  return a._replace(seeds=a.seeds + b.seeds, hyper=hyper, source=source)


def _check_members(cell: Cell) -> None:
  counts = collections.Counter(zip(cell.seeds, *cell.hyper.values(), strict=True))
  setting, count = counts.most_common(1)[0]
  if count > 1:
    member = ', '.join(f'{name} {value}' for name, value in zip(('seed', *cell.hyper), setting, strict=True))
    raise ConfigError(f'sweep gives the member {member} {count} times: each only once.')
