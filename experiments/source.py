"""The block `source` of a config: another run, from which this one starts or at which it looks."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from dynamics import plan
from dynamics.plan import Cell, SourceRun
from dynamics.schema import ConfigError, check, fields, resolve
from experiments import files


def source(
  *,
  config: str,
  at: Any = 'end',
  select: Any = None,
  take: Literal['variables', 'state'] = 'variables',
) -> None:
  """The fields of the block.

  Args:
    config: the file of the other run's config.
    at: the step of its checkpoint, or 'end'.
    select: fields of that config with their values, dict(hyper=dict(lr=0.1)): they must leave one member a seed.
    take: 'variables', for an init or an objective that reads them; 'state', to go on with the training itself.
  """


def resolve_source(cell: Cell, given: Mapping[str, Any], resolve_config: Callable[[Mapping], Cell]) -> Cell:
  """`cell` with its source run, members paired by seed.

  Raises:
    ConfigError: a config that cannot be read, a selection that leaves no member or several, or a step past its end.
  """
  block = resolve(given, fields(source), 'source')
  other = files.load(block['config'])
  if not isinstance(block['select'] or {}, Mapping):
    raise ConfigError(f'source.select is {block["select"]!r}; it must be a block such as dict(hyper=dict(lr=0.1)).')
  selected = plan.flat(block['select'] or {})
  cells = [(c, i) for c in plan.cells(other, resolve_config) for i in range(c.members) if _matches(c, i, selected)]
  members = []
  for seed in cell.seeds:
    of_seed = [(c, i) for c, i in cells if c.seeds[i] == seed]
    if len(of_seed) != 1:
      those = f'{len(of_seed)} members of seed {seed}' if of_seed else f'no member of seed {seed}'
      raise ConfigError(f'source: {block["config"]} has {those} with {selected}: source.select must leave one a seed.')
    members += of_seed
  if len({plan.identity(c) for c, _ in members}) > 1:
    raise ConfigError(f'source: seeds lie in different cells of {block["config"]}: source.select must name one cell.')
  settings = {tuple(values[i] for values in c.hyper.values()) for c, i in members}
  if len(settings) > 1:
    raise ConfigError(f'source: seeds have different hyper values in {block["config"]}: source.select must name one setting.')
  run, end = members[0][0], members[0][0].config['steps']
  at = end if block['at'] == 'end' else check('source.at', block['at'], int)
  if not 0 <= at <= end:
    raise ConfigError(f"source.at is {at}; it must be 'end' or a step up to {end}, where that run ends.")
  if block['take'] == 'state' and at >= cell.config['steps']:
    raise ConfigError(f'source: the other run is at step {at}, and this one ends at step {cell.config["steps"]}: train longer.')
  if at != end:
    run = run._replace(milestones=tuple(sorted({*run.milestones, at})))
  return cell._replace(source=SourceRun(run, tuple(i for _, i in members), at, block['take']))


def _matches(cell: Cell, i: int, selected: Mapping[str, Any]) -> bool:
  values = {**plan.flat(cell.config), **{f'hyper.{name}': per_member[i] for name, per_member in cell.hyper.items()}}
  unknown = [field for field in selected if field not in values]
  if unknown:
    raise ConfigError(f'source.select names {unknown[0]}, which is no field of that run; there are: {", ".join(values)}.')
  return all(values[field] == value for field, value in selected.items())
