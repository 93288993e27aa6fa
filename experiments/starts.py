"""The block `init` of a config: which law for which weights, under which rule."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from dynamics import inits
from dynamics.inits import laws, rules
from dynamics.plan import Config
from dynamics.schema import ConfigError, check, fields, resolve
from dynamics.types import Data

LAWS = {law.__name__: law for law in (laws.gaussian, laws.truncated, laws.uniform, laws.orthogonal)}
STRUCTURED = {law.__name__: law for law in (laws.low_rank, laws.power_law, laws.dale, laws.block)}  # these take choices
JOINT = {'balanced': inits.balanced, 'aligned': inits.aligned, 'factors': inits.factors}  # all layers at once
RULES = {rule.__name__: rule for rule in (rules.standard, rules.ntk, rules.mean_field, rules.mup)}

InitFrom = Callable[[Data], inits.Init]


def initial(*, law: Literal[(*LAWS, *STRUCTURED, *JOINT)] = 'gaussian', rule: Literal[tuple(RULES)] = 'standard') -> None:
  """Law and rule of the initial weights."""


def placed(*, on: str = '*', others: Literal[tuple(LAWS)] = 'gaussian') -> None:
  """Where a structured law holds: on weights whose path matches `on`, such as 'recurrent/*'; the law of the others."""


def directed(*, directions: Literal['random', 'task', 'inputs'] = 'random') -> None:
  """What a layer of low rank reads: 'task', the singular directions of the input-output correlation of the training set;
  'inputs', the principal axes of the inputs."""


def resolve_init(given: Mapping[str, Any]) -> Config:
  """The block `init`, checked, with defaults. A law's own choices are there only with that law.

  Raises:
    ConfigError: one sentence on the first thing that is wrong.
  """
  law = check('init.law', given.get('law', fields(initial)['law'].default), fields(initial)['law'].annotation)
  for name in given:
    owners = [other for other in STRUCTURED if name in choices(other)]
    if owners and name not in choices(law):
      raise ConfigError(f'init.{name} is a choice of {", ".join(owners)}, but init.law is {law!r}: leave it out.')
  out = resolve(given, {**fields(initial), **choices(law)}, 'init')
  if law in JOINT and out['rule'] != 'standard':
    raise ConfigError(f"init.rule is {out['rule']!r}, but init.law {law!r} sets the scale of all layers itself: take 'standard'.")
  return out


def choices(law: str) -> dict[str, Any]:
  """The fields of the block that only this law has."""
  if law not in STRUCTURED:
    return {}
  return fields(STRUCTURED[law], placed, *((directed,) if law == 'low_rank' else ()))


def make(block: Config, outputs: int) -> tuple[inits.Init, InitFrom | None]:
  """The init of a resolved block, and the one that looks at the data where the block asks for that.

  The first gives the same shapes in any case, without data.
  """
  name, rule = block['law'], RULES[block['rule']]
  if name == 'aligned':
    return inits.balanced(), inits.aligned(outputs)
  if name in JOINT:
    return JOINT[name](), None
  if name in LAWS:
    return inits.independent(LAWS[name], rule), None
  own = {choice: block[choice] for choice in fields(STRUCTURED[name])}

  def on(*frame):
    return inits.placed(block['on'], STRUCTURED[name](*frame, **own), LAWS[block['others']], rule)

  look = {
    'task': lambda data: on(inits.correlation(data.train, outputs)[2]),
    'inputs': lambda data: on(inits.principal(data.train)),
  }
  return on(), look.get(block.get('directions'))
