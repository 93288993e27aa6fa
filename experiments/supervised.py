"""The family of experiments on labelled examples: a config in, a Study out."""

import contextlib
import pickle
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import jax

from dynamics import data, losses, models, optim, probes, study, train
from dynamics.data.sampling import sampler
from dynamics.inits import rules
from dynamics.optim.families import NotNegative, Positive
from dynamics.plan import Cell, Config
from dynamics.problem import supervised
from dynamics.schema import ConfigError, Range, check, choose, fields, resolve, unknown
from dynamics.subspace import within
from dynamics.types import Task
from experiments import starts

REVISION = 1  # raise it when a change of code changes the numbers: stored runs of the old code are then not found

BLOCKS = {'data': data, 'model': models, 'loss': losses, 'optimizer': optim}  # a block's `name` is a function there


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


def predictor(*, centred: bool = False, linearised: bool = False) -> None:
  """What is trained in place of the network itself: its change since step 0, or its tangent model there."""


def traced(*, init_scale: NotNegative = 1.0, alpha: Positive = 1.0, label_noise: Range(float, least=0.0, most=1.0) = 0.0):
  """The hyper values of every run, beside the optimiser's: on the initial weights, the outputs and the labels."""


def stopping(*, stop_loss: NotNegative) -> None:
  """A hyper value of the runs that name it: the loss at which a member stops."""


def dropping(*, drop_every: Range(float, least=1.0), drop: Range(float, above=0.0, most=1.0) = 0.1) -> None:
  """Hyper values of the runs that name the first: every how many steps the learning rate is multiplied by `drop`."""


def placing(*, gain: NotNegative) -> None:
  """A hyper value of the runs that name it: a factor on the weights of a law that is placed."""


def factoring(*, factor_rank: Range(float, least=1.0)) -> None:
  """A hyper value of the runs that name it: how many columns the factors of law 'factors' start with, beside zeros."""


def leaning(*, right_scale: NotNegative) -> None:
  """A hyper value of the runs that name it: the scale of the right factor of law 'factors', over that of the left one."""


def spanning(*, dimension: Range(float, least=0.0)) -> None:
  """A hyper value of the runs with a block `subspace`: how many of its coordinates are trained."""


def resolve_config(config: Mapping[str, Any]) -> tuple[Config, int]:
  """A config without sweep, checked, with every default filled in, and the revision of this family.

  Raises:
    ConfigError: one sentence on the first thing that is wrong.
  """
  known = [*BLOCKS, 'init', 'batch', 'schedule', 'probes', 'hyper', 'predictor', 'subspace', *fields(settings)]
  for name, value in config.items():
    if name not in known:
      raise ConfigError(unknown(name, name, known))
    if name not in fields(settings) and not isinstance(value, Mapping):
      raise ConfigError(f'{name} is {value!r}; it must be a block of fields, such as dict(name=...).')
  given = {name: dict(config[name]) for name in known if isinstance(config.get(name), Mapping)}
  out = resolve({n: v for n, v in config.items() if n in fields(settings)}, fields(settings), 'config')
  if len(set(out['seeds'])) < len(out['seeds']) or not out['seeds']:
    raise ConfigError(f'config.seeds is {out["seeds"]}; it must hold at least one seed, and each only once.')
  late = [t for t in out['milestones'] if t > out['steps']]
  if late:
    raise ConfigError(f'config.milestones has {late[0]}, but the run ends at step {out["steps"]}.')
  supplied = {'model': ('outputs', 'vocabulary'), 'optimizer': ('rule', 'roles', 'steps')}
  for block in BLOCKS:
    out[block] = _named(block, given.get(block, {}), supplied.get(block, ()))
  out['init'] = starts.resolve_init(given.get('init', {}))
  out['batch'] = resolve(given.get('batch', {}), fields(sampler), 'batch')
  out['schedule'] = resolve(given.get('schedule', {}), fields(study.spread), 'schedule')
  out['probes'] = _probes(given.get('probes', {}), out['schedule'])
  family = getattr(optim, out['optimizer']['name'])
  # What a run does not ask for is no part of it: runs without these blocks, a loss level or a gain keep their identities.
  if 'predictor' in given:
    out['predictor'] = resolve(given['predictor'], fields(predictor), 'predictor')
  if 'subspace' in given:
    out['subspace'] = resolve(given['subspace'], fields(within), 'subspace')
  special = {
    'stop_loss': stopping,
    'drop_every': dropping,
    'gain': placing,
    'factor_rank': factoring,
    'right_scale': leaning,
  }
  asked = [also for name, also in special.items() if name in given.get('hyper', {})]
  asked += [spanning] if 'subspace' in given else []
  if placing in asked and 'on' not in out['init']:
    raise ConfigError(
      f'hyper.gain multiplies the weights of a law that init.on places, but init.law is {out["init"]["law"]!r}: '
      f'take {", ".join(starts.STRUCTURED)}, or hyper.init_scale for all weights.'
    )
  if (factoring in asked or leaning in asked) and out['init']['law'] != 'factors':
    name = 'factor_rank' if factoring in asked else 'right_scale'
    raise ConfigError(f"hyper.{name} is of init.law 'factors', but init.law is {out['init']['law']!r}.")
  out['hyper'] = resolve(given.get('hyper', {}), fields(family.make, traced, *asked), 'hyper')
  if out['hyper']['label_noise'] and not out['own_data']:
    raise ConfigError(
      f'hyper.label_noise is {out["hyper"]["label_noise"]}, which needs own_data=True: shared labels have no noise.'
    )
  if 'subspace' in out:
    _check_subspace(out)
  return out, REVISION


def build(config: Config) -> study.Study:
  """The study of a resolved config, in 64-bit mode where it is `wide`. Cheap: nothing is compiled.

  Raises:
    ConfigError: values that do not go together, or data that are not on this disk.
  """
  options = {block: {k: v for k, v in config[block].items() if k != 'name'} for block in BLOCKS}
  task = make_task(config)
  with sentences():
    loss = getattr(losses, config['loss']['name'])(**options['loss'])
    module = getattr(models, config['model']['name'])(**options['model'], outputs=task.outputs, vocabulary=task.vocabulary)
    times = {name: study.spread(config['steps'], **block['schedule']) for name, block in config['probes'].items()}
  rule = starts.RULES[config['init']['rule']]
  init, init_from = starts.make(config['init'], task.outputs)
  shapes = jax.eval_shape(lambda: task.draw(jax.random.key(0), {'label_noise': jax.numpy.float32(0)}))
  _check_targets(config, shapes.train.y, task.outputs)
  _check_batch(config, shapes.train.y.shape[0])
  problem = supervised(
    module,
    jax.ShapeDtypeStruct((1, *shapes.train.x.shape[1:]), shapes.train.x.dtype),
    loss,
    init=init,
    init_from=init_from,
    rule=rule,
    batch=sampler(**config['batch']),
    **config.get('predictor', {}),
  )
  problem = within(problem, **config['subspace']) if 'subspace' in config else problem
  family = getattr(optim, config['optimizer']['name'])
  made = {name: getattr(probes, name)(problem.apply, loss, **_own(block)) for name, block in config['probes'].items()}
  scaled = None if rule is rules.standard else rule
  optimizer = optim.optimizer(family, rule=scaled, steps=config['steps'], **options['optimizer'])
  return study.Study(problem, optimizer, task.draw, made, times, config['steps'], config['own_data'], config['data_seed'])


def check_cell(cell: Cell) -> None:
  """Traces the start and the loss of a cell: parts that do not fit together are told in a sentence, before any compilation.

  Raises:
    ConfigError: see there.
  """

  def first_loss():
    key, hyper = train.seed_key(0), {name: jax.numpy.float32(0) for name in cell.hyper}
    data = made.data(key, hyper)
    state = train.start(made)(key, hyper, data)
    return made.problem.loss(state.variables, made.problem.batch(key, data, jax.numpy.int32(0)), hyper)

  with jax.enable_x64(wide(cell.config)), sentences():
    made = build(cell.config)
    if cell.config['data_parallel'] > jax.device_count():
      raise ConfigError(f'data_parallel is {cell.config["data_parallel"]}; there are only {jax.device_count()} devices here.')
    jax.eval_shape(first_loss)


@contextlib.contextmanager
def sentences():
  """Turns what the library refuses into an error of the config."""
  try:
    yield
  except ConfigError:
    raise
  except (TypeError, ValueError) as error:
    raise ConfigError(f'{str(error).splitlines()[0].rstrip(".")}.') from error


def make_task(config: Config) -> Task:
  """The task of a resolved config."""
  options = {k: v for k, v in config['data'].items() if k != 'name'}
  try:
    return getattr(data, config['data']['name'])(**options)
  except (ValueError, KeyError, OSError, EOFError, zlib.error, pickle.UnpicklingError) as error:  # values, and damaged files
    raise ConfigError(f'data: {error}.') from error


def _check_targets(config: Config, y: jax.ShapeDtypeStruct, outputs: int) -> None:
  """Classification losses need labels, and all but the hinge more than one output."""
  loss, source = config['loss']['name'], config['data']['name']
  labels = jax.numpy.issubdtype(y.dtype, jax.numpy.integer)
  if not labels and loss not in ('mean_squared_error', 'mean_absolute_error'):
    raise ConfigError(f'loss.name is {loss!r}, which needs labels, but data {source!r} gives numbers: take mean_squared_error.')
  if labels and outputs == 1 and loss != 'hinge':
    raise ConfigError(f'loss.name is {loss!r}, but data {source!r} gives labels of a single output: take hinge, or two outputs.')


def _check_batch(config: Config, rows: int) -> None:
  size, devices = config['batch']['size'] or rows, config['data_parallel']
  if size > rows:
    raise ConfigError(f'batch.size is {size}, but there are only {rows} training examples.')
  if size % devices:
    raise ConfigError(f'data_parallel is {devices}, which does not divide the batch of {size} examples.')
  if config['model']['name'] != 'normalised_mlp' or not config['model']['ghost']:
    return
  ghost, share = config['model']['ghost'], size // devices
  if share % ghost:
    raise ConfigError(f'model.ghost is {ghost}, which does not divide the {share} examples of a batch on one device.')


def _check_subspace(config: Config) -> None:
  most, asked = config['subspace']['most'], config['hyper']['dimension']
  if asked > most:
    raise ConfigError(f'hyper.dimension is {asked:g}, but subspace.most is {most}: it must be that or less.')
  if config['init']['rule'] not in ('standard', 'ntk'):
    raise ConfigError(
      f'init.rule is {config["init"]["rule"]!r}, which gives each layer a learning rate of its own, but a subspace has no '
      "layers: take 'standard' or 'ntk'."
    )


def wide(config: Config) -> bool:
  """Whether the run needs 64-bit mode."""
  return config['loss']['dtype'] == 'float64'


def _named(block: str, given: dict, supplied: tuple[str, ...]) -> Config:
  if 'name' not in given:
    raise ConfigError(f'{block}.name is missing; it must be one of: {", ".join(_options(block))}.')
  made = choose(f'{block}.name', check(f'{block}.name', given.pop('name'), str), _options(block))
  of_family = lambda family: fields(optim.optimizer, *([family.choose] if family.choose else []))
  allowed = of_family(made) if isinstance(made, optim.Family) else fields(made)
  name = next(n for n, option in _options(block).items() if option is made)
  return {'name': name, **resolve(given, allowed, block, leave=supplied)}


def _options(block: str) -> dict[str, Any]:
  """What a block's `name` may be: the public functions of its package, or the optimiser families."""
  public = {name: getattr(BLOCKS[block], name) for name in BLOCKS[block].__all__}
  return {n: v for n, v in public.items() if isinstance(v, optim.Family)} if block == 'optimizer' else public


def _probes(given: dict, schedule: Config) -> Config:
  for name, block in given.items():
    choose(f'probes.{name}', name, dict.fromkeys(probes.__all__))
    if not isinstance(block, Mapping):
      raise ConfigError(f'probes.{name} is {block!r}; it must be a block, such as dict(on=True).')
    if not isinstance(block.get('schedule', {}), Mapping):
      raise ConfigError(f'probes.{name}.schedule is {block["schedule"]!r}; it must be a block, such as dict(stride=10).')
  named = [name for name, block in given.items() if check(f'probes.{name}.on', block.get('on', True), bool)]
  chosen = named or [name for name in probes.USUAL if name not in given]  # to switch one off is not to name the others
  out = {}
  for name in probes.__all__:
    block = {field: value for field, value in given.get(name, {}).items() if field != 'on'}
    own = {**schedule, **block.pop('schedule', {})}
    resolved = {
      'schedule': resolve(own, fields(study.spread), f'probes.{name}.schedule'),
      **resolve(block, fields(getattr(probes, name)), f'probes.{name}'),
    }
    # One that is off is no part of the run: a new probe leaves the identities of all runs as they are.
    out |= {name: resolved} if name in chosen else {}
  return out


def _own(block: Config) -> Config:
  return {k: v for k, v in block.items() if k != 'schedule'}
