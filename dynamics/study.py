"""Study: all that one compiled program needs. Schedules: when a probe is read."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from dynamics.schema import Range
from dynamics.types import Hyper, Problem, Variables

Count = Range(int, least=0)
Times = tuple[int, ...]  # steps, increasing

MOST = 10**6  # readings of one probe


class Study(NamedTuple):
  """One experiment, without files, flags or seeds.

  `problem(hyper, source)` gives what is trained and measured for one setting of the hyper values; `source` holds another run's
  variables, or None. It is called while JAX traces, several times, so it should be cheap.

  Data are drawn once: from `data_seed` for all members together, or, with `own_data`, from each member's own key and hyper
  values (a teacher a member, a split a member, label noise as a sweep).
  """

  problem: Callable[[Hyper, Variables | None], Problem]
  steps: int
  schedule: Mapping[str, Times] = {}  # probe -> when it is read
  interventions: Mapping[str, Times] = {}  # intervention -> when it runs
  own_data: bool = False
  data_seed: int = 0


def every(n: int, steps: int) -> Times:
  """0, n, 2n, ... up to and with `steps` where n divides it."""
  if n < 1:
    raise ValueError(f'every: n is {n}; it must be at least 1')
  return tuple(range(0, steps + 1, n))


def log_spaced(points: int, steps: int) -> Times:
  """0, `points` steps spread evenly in log t from 1 to `steps`, and `steps`; doubles dropped."""
  if points < 1 or steps < 1:
    return (0,)
  ratio = math.log(steps) / max(points - 1, 1)
  return tuple(sorted({0, *(round(math.exp(ratio * i)) for i in range(points)), steps}))


def linear(points: int, steps: int) -> Times:
  """`points` equal stretches from 0 to `steps`: points + 1 times."""
  return tuple(sorted({round(steps * i / points) for i in range(points + 1)})) if points else ()


def log_then_linear(points: int, until: int, step: int, steps: int) -> Times:
  """Log-spaced up to `until`, then every `step`."""
  return union(log_spaced(points, min(until, steps)), tuple(range(until, steps + 1, step)))


def at_end(steps: int) -> Times:
  return (steps,)


def union(*times: Times) -> Times:
  return tuple(sorted(set().union(*times)))


def times(
  steps: int,
  *,
  log_points: Count = 24,
  linear_points: Count = 0,
  stride: Count = 0,
  at: tuple[Count, ...] = (),
  end: bool = True,
) -> Times:
  """The schedule of a config: the union of what is asked for; 0 leaves a part out.

  Args:
    steps: the length of the run.
    log_points: readings evenly spaced in log t, with step 0.
    linear_points: readings evenly spaced in t, with step 0.
    stride: a reading every `stride` steps, with step 0.
    at: a reading at each of these steps.
    end: a reading at the last step.
  """
  asked = len(at) + log_points + linear_points + (steps // stride + 1 if stride else 0)
  if asked > MOST:
    raise ValueError(f'a schedule of {asked:,} readings is more than {MOST:,}: take fewer points or a longer stride')
  parts = [at, at_end(steps) if end else ()]
  parts += [log_spaced(log_points, steps)] if log_points else []
  parts += [linear(linear_points, steps)] if linear_points else []
  parts += [every(stride, steps)] if stride else []
  return union(*parts)


def due(schedule: Mapping[str, Times], steps: int) -> dict[int, list[str]]:
  """step -> the names that are due there, in order of time.

  Raises:
    ValueError: a time outside of 0..steps.
  """
  wrong = [(name, t) for name, moments in schedule.items() for t in moments if not 0 <= t <= steps]
  if wrong:
    raise ValueError(f'the schedule of {wrong[0][0]} asks for step {wrong[0][1]}, outside of 0..{steps}')
  asked = {name: set(moments) for name, moments in schedule.items()}
  return {t: [name for name in schedule if t in asked[name]] for t in union(*asked.values())}


def check_common_data(study: Study, hyper: Mapping[str, object], source: Variables | None = None) -> None:
  """Refuses data that are drawn once for all members where they depend on hyper values in which members differ.

  Args:
    hyper: name -> (m,) float32.
    source: another run's variables, leaves (m, ...).

  Raises:
    ValueError: it says what to set.
  """
  differing = {name: values for name, values in hyper.items() if len(np.unique(np.asarray(values))) > 1}
  if study.own_data or not differing:
    return

  def draw(changed):
    first = {**{name: values[0] for name, values in hyper.items()}, **changed}
    task = study.problem(first, jax.tree.map(lambda x: x[0], source)).task
    return task.draw(jax.random.key(0, impl='threefry2x32'))

  for name, values in differing.items():
    try:
      jax.eval_shape(jax.vmap(draw, out_axes=None), {name: values})
    except ValueError as error:
      if 'out_axes' not in str(error):
        raise
      raise ValueError(f'the data depend on hyper.{name}, in which members differ: set own_data=True') from error
