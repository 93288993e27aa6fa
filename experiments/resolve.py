"""A config, checked against the signatures of the components that it names, with every default filled in."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

from dynamics import (
  data,
  inits,
  interventions,
  losses,
  lr_schedules,
  models,
  objectives,
  optim,
  probes,
  stopping,
  study,
  train,
  transforms,
)
from dynamics.components import Part, hyper_signature, readers
from dynamics.data.sampling import sampler
from dynamics.plan import Cell, Config, last
from dynamics.schema import ConfigError, Range, check, choose, fields, hyper_values, resolve, unknown
from experiments import files, outside
from experiments.source import resolve_source

# Where a config names a component: one in a block with a `name`, several in a tuple of such blocks, or several by their names.
SINGLE = {'data': data, 'model': models, 'init': inits, 'loss': losses, 'objective': objectives, 'optimizer': optim,
          'lr_schedule': lr_schedules, 'stopping': stopping}  # fmt: skip
ORDERED = {'transforms': transforms}
TIMED = {'interventions': interventions, 'probes': probes}
ALSO = {'optimizer': (optim.chain,)}  # whose fields a block has beside those of its component
DEFAULTS = {'init': 'gaussian', 'objective': 'supervised', 'lr_schedule': 'constant'}
OPTIONAL = ('stopping',)  # left out of the resolved config unless set, so that it changes no identity


def settings(
  *,
  steps: Range(int, least=1, below=2**31),
  seeds: tuple[Range(int, least=0, below=2**32), ...] = (0,),
  own_data: bool = False,
  data_seed: Range(int, least=0, below=2**32) = 0,
  layout: Literal['vmap', 'map'] = 'vmap',
  data_parallel: Range(int, least=1) = 1,
  milestones: tuple[Range(int, least=0), ...] = (),
) -> None:
  """The fields at the top of a config, beside its blocks.

  Args:
    steps: how long to train.
    seeds: one member each, times the hyper values of the sweep.
    own_data: each member draws its data from its own seed and hyper values; else all share those of `data_seed`.
    data_seed: the seed of shared data.
    layout: members side by side ('vmap') or one after the other ('map').
    data_parallel: devices over which each batch is split.
    milestones: steps whose checkpoints are kept for good, beside the newest two.
  """


@functools.cache
def families() -> dict[str, dict[str, Callable]]:
  """Every component: block -> name -> maker."""
  packages = SINGLE | ORDERED | TIMED
  return {block: {n: getattr(p, n) for n in p.__all__ if hasattr(getattr(p, n), 'revision')} for block, p in packages.items()}


def parts_of(config: Config) -> dict[str, Part]:
  """'data', 'transforms.ntk', 'probes.distance', ... -> the component that a resolved config names there."""
  table, parts = families(), {}
  for block in SINGLE:
    if block in config:
      parts[block] = _part(_maker(block, config[block]['name'], table[block]), config[block])
  for block in ORDERED:
    for entry in config.get(block, ()):
      parts[f'{block}.{last(entry["name"])}'] = _part(_maker(block, entry['name'], table[block]), entry)
  for block in TIMED:
    for name, entry in config.get(block, {}).items():
      parts[f'{block}.{name}'] = _part(_maker(block, entry.get('name', name), table[block]), entry)
  return parts


def _maker(block: str, name: str, table: Mapping[str, Callable], path: str = '') -> Callable:
  """The maker of a name; one with a colon comes from outside of the project."""
  return outside.maker(block, name) if outside.is_outside(name) else choose(path or block, name, table)


def _part(maker: Callable, entry: Config) -> Part:
  return Part(maker, {name: entry[name] for name in fields(maker)})


def resolve_config(config: Mapping[str, Any]) -> Cell:
  """A config without sweep as the cell of its seeds.

  Raises:
    ConfigError: one sentence on the first thing that is wrong.
  """
  blocks = [*SINGLE, *ORDERED, *TIMED, 'batch', 'schedule', 'hyper', 'source']
  for name, value in config.items():
    if name not in [*blocks, *fields(settings)]:
      raise ConfigError(unknown(str(name), str(name), [*blocks, *fields(settings)]))
    if name in blocks and name not in ORDERED and not isinstance(value, Mapping):
      raise ConfigError(f'{name} is {value!r}; it must be a block of fields, such as dict(name=...).')
  table = families()
  out = resolve({n: v for n, v in config.items() if n in fields(settings)}, fields(settings), 'config')
  seeds, milestones = out.pop('seeds'), out.pop('milestones')
  if len(set(seeds)) < len(seeds) or not seeds:
    raise ConfigError(f'config.seeds is {seeds}; it must hold at least one seed, and each only once.')
  late = [t for t in milestones if t > out['steps']]
  if late:
    raise ConfigError(f'config.milestones has {late[0]}, but the run ends at step {out["steps"]}.')
  for block in SINGLE:
    if block in config or block not in OPTIONAL:
      out[block] = _named(block, config.get(block, {}), table[block])
  for block in ORDERED:
    if entries := _ordered(block, config.get(block, ()), table[block]):
      out[block] = entries
  out['batch'] = resolve(config.get('batch', {}), fields(sampler), 'batch')
  schedule = resolve(config.get('schedule', {}), fields(study.times), 'schedule')
  off = {**dict.fromkeys(schedule, 0), 'at': (), 'end': False}
  if chosen := _timed('interventions', config.get('interventions', {}), table['interventions'], off):
    out['interventions'] = chosen
  read = _timed('probes', config.get('probes', {}), table['probes'], schedule, probes.USUAL)
  parts = parts_of({**out, 'probes': read})
  hyper = _hyper(config.get('hyper', {}), parts, table)
  training = parts_of(out)
  revisions = {where: part.maker.revision for where, part in training.items()} | {'train': train.REVISION}
  revisions |= {f'{where}.files': digest for where, part in training.items() if (digest := _files(where, part))}
  read = {name: {**entry, 'revision': parts[f'probes.{name}'].maker.revision} for name, entry in read.items()}
  cell = Cell(out, seeds, {n: (v,) * len(seeds) for n, v in hyper.items()}, revisions, {}, read, milestones)
  return resolve_source(cell, config['source'], resolve_config) if 'source' in config else cell


def _files(where: str, part: Part) -> str:
  """The digest of the files on the user's disk that a component reads; '' where it reads none."""
  try:
    paths = list(part.maker.files(**part.fields)) if part.maker.files else []
  except (OSError, TypeError, ValueError) as error:
    raise ConfigError(f'{where}: {error}.') from error
  return files.digest(where, paths) if paths else ''


def needs_x64(cell: Cell) -> bool:
  """Whether the run needs 64-bit mode: where a component computes in float64."""
  return any(part.fields.get('dtype') == 'float64' for part in parts_of({**cell.config, 'probes': cell.probes}).values())


def _named(block: str, given: Mapping[str, Any], table: Mapping[str, Callable]) -> Config:
  given = dict(given)
  if 'name' not in given and block not in DEFAULTS:
    raise ConfigError(f'{block}.name is missing; it must be one of: {", ".join(table)}.')
  name = check(f'{block}.name', given.pop('name', DEFAULTS.get(block)), str)
  maker = _maker(block, name, table, f'{block}.name')
  return {'name': name, **_fields(given, maker, block, ALSO.get(block, ()))}


def _ordered(block: str, given: Any, table: Mapping[str, Callable]) -> tuple[Config, ...]:
  shape = f"{block} is a tuple of blocks such as (dict(name='{next(iter(table))}'),)"
  if not isinstance(given, (tuple, list)) or not all(isinstance(entry, Mapping) for entry in given):
    raise ConfigError(f'{block} is {given!r}; {shape}.')
  resolved = []
  for entry in given:
    entry = dict(entry)
    name = entry.pop('name', None)
    if name is None:
      raise ConfigError(f'{block} has a block without name; {shape}.')
    maker, where = _maker(block, name, table), f'{block}.{last(str(name))}'
    if last(name) in [last(r['name']) for r in resolved]:
      raise ConfigError(f'{block} has {name} twice; each only once.')
    if check(f'{where}.on', entry.pop('on', True), bool):
      resolved.append({'name': name, **_fields(entry, maker, where)})
  return tuple(resolved)


def _timed(block: str, given: Mapping[str, Any], table, schedule: Config, usual: tuple[str, ...] = ()) -> Config:
  """Components that are on, each with its schedule. Where none is named, the usual ones are on.

  A block's own `name` says which component it is, so that one may be there twice, or come from outside.
  """
  components = {}
  for name, entry in given.items():
    if not isinstance(entry, Mapping):
      raise ConfigError(f'{block}.{name} is {entry!r}; it must be a block, such as dict(on=True).')
    if not isinstance(entry.get('schedule', {}), Mapping):
      raise ConfigError(f'{block}.{name}.schedule is {entry["schedule"]!r}; it must be a block, such as dict(stride=10).')
    if not name.isidentifier():
      raise ConfigError(f'{block} has the key {name!r}; it must be a word: {block}=dict(mine=dict(name={name!r})).')
    components[name] = entry.get('name', name)
  on = [name for name, entry in given.items() if check(f'{block}.{name}.on', entry.get('on', True), bool)]
  on = on or [name for name in usual if name not in given]  # to switch one off is not to name the others
  resolved = {}
  for name in sorted({*given, *on}):
    entry = {field: value for field, value in given.get(name, {}).items() if field not in ('on', 'name')}
    where, component = f'{block}.{name}', components.get(name, name)
    maker = _maker(block, component, table, where)
    times = resolve({**schedule, **entry.pop('schedule', {})}, fields(study.times), f'{where}.schedule')
    entry = _fields(entry, maker, where)
    if name in on:
      resolved[name] = {'schedule': times, **({} if component == name else {'name': component}), **entry}
  return resolved


def _fields(given: Mapping[str, Any], maker: Callable, where: str, also: tuple = ()) -> Config:
  traced = [name for name in given if name in hyper_values(maker)]
  if traced:
    raise ConfigError(f'{where}.{traced[0]} is a traced value, not a field of the block: set hyper.{traced[0]}.')
  unwritable = [name for name in given if name in getattr(maker, 'unwritable', {}) and name not in fields(maker, *also)]
  if unwritable:
    kind = maker.unwritable[unwritable[0]]
    raise ConfigError(f'{where}.{unwritable[0]} cannot be set in a config, which does not write a {kind}: wrap it in a function.')
  return resolve(given, fields(maker, *also), where)


def _hyper(given: Mapping[str, Any], parts: Mapping[str, Part], table) -> Config:
  """The hyper values of a run: those that its components read, and no others."""
  allowed = hyper_signature(parts)
  for name in given:
    if name not in allowed and (elsewhere := readers(table, name)):
      raise ConfigError(f'hyper.{name} is read by nothing in this run; it is read by {", ".join(elsewhere)}.')
  return resolve(given, allowed, 'hyper')
