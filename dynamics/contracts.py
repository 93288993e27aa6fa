"""What examples, parameters, predictions and objectives must be: read off shapes and dtypes while they are traced, once.

Nothing here computes inside of a trace, so no program changes. Values are looked at where they are known: in `run` for the
data of a run, in `labels` wherever targets are no tracers. Each function raises a ValueError with the shapes and the way out.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import parallel, trees
from dynamics.study import Study
from dynamics.types import Array, Aux, Batch, Data, Frozen, State, Tree

ARRAYS = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)  # tracers are jax.Arrays


def described(x: Tree) -> str:
  """'float32(5, 3)', or the like of each leaf of a tree under its path."""
  return ', '.join(f'{path}: {_one(leaf)}' if path else _one(leaf) for path, leaf in trees.by_path(x).items()) or 'nothing'


def examples(x: Tree, name: str) -> int:
  """n of inputs (n, ...): an array of floats or whole numbers, or a tree of these."""
  for path, leaf in trees.by_path(x).items():
    where = f'{name}/{path}' if path else name
    if not isinstance(leaf, ARRAYS):
      raise ValueError(f'{where} is {_one(leaf)}: inputs are arrays (n, ...), jnp.asarray({name}), or a tree of such arrays')
    if not leaf.ndim:
      raise ValueError(f'{where} is {_one(leaf)}: inputs are arrays (n, ...), with an axis of examples in front')
    if not jnp.issubdtype(leaf.dtype, jnp.floating) and not jnp.issubdtype(leaf.dtype, jnp.integer):
      way = 'give its real and imaginary parts' if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else 'give them as float32'
      raise ValueError(f'{where} is {_one(leaf)}: inputs are floats or whole numbers, so {way}')
  counts = {leaf.shape[0] for leaf in jax.tree.leaves(x)}
  if len(counts) != 1:
    raise ValueError(f'the arrays of {name} must have one leading axis of examples, but they are {described(x)}')
  return counts.pop()


def features(x: Array, reader: str) -> None:
  """Inputs of floats, to whose dtype a layer takes its weights: those of whole numbers would be rounded."""
  if not jnp.issubdtype(x.dtype, jnp.floating):
    raise ValueError(f'{reader} reads floats, but the inputs are {_one(x)}: give x.astype(jnp.float32)')


def tokens(x: Array, vocabulary: int | None, reader: str) -> None:
  """Whole numbers from 0 to vocabulary - 1, which are looked at where they are no tracers."""
  if vocabulary is None:
    raise ValueError(f'the inputs are {_one(x)}, which {reader} reads as tokens: give a vocabulary, or floats')
  if isinstance(x, jax.core.Tracer) or not x.size:
    return
  known = np.asarray(x)  # jax's own functions would be traced here
  least, most = int(known.min()), int(known.max())
  if least < 0 or most >= vocabulary:
    raise ValueError(f'the tokens of {reader} go from {least} to {most}, but those of the vocabulary from 0 to {vocabulary - 1}')


def batch(examples_of: Batch, name: str) -> int:
  """n of a batch, whose targets have a row for each example."""
  n, y = examples(examples_of.x, f'{name}.x'), examples_of.y
  if not isinstance(y, ARRAYS):
    raise ValueError(f'{name}.y is a {type(y).__name__}: targets are one array, jnp.asarray({name}.y)')
  if not y.ndim or y.shape[0] != n:
    raise ValueError(f'{name}.x is {described(examples_of.x)}, but {name}.y is {_one(y)}: they must have one row an example')
  if not n:
    raise ValueError(f'{name} holds no examples: its x is {described(examples_of.x)}')
  return n


def data(drawn: Data) -> None:
  """Training and test examples are of one kind; the test set may be empty."""
  batch(drawn.train, 'train')
  if isinstance(drawn.test.y, ARRAYS) and drawn.test.y.size:
    batch(drawn.test, 'test')
  kinds = [jax.tree.map(lambda leaf: (leaf.ndim, np.dtype(leaf.dtype).kind), tuple(split)) for split in (drawn.train, drawn.test)]
  if kinds[0] != kinds[1]:
    shown = [f'x {described(split.x)} and y {described(split.y)}' for split in (drawn.train, drawn.test)]
    raise ValueError(f'train has {shown[0]}, but test has {shown[1]}: they must have as many axes, of the same kinds of numbers')


def run(study: Study, members, drawn: Data, state: State, frozen: Frozen) -> None:
  """The values of a run's data at its start, as model and objective take them, and as `values` does.

  With data of their own, members share what is found here of the first of them. Fresh examples of every step are not looked at.
  """
  shapes = lambda tree: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)
  known = jax.tree.map(lambda leaf: leaf[0], drawn) if study.own_data else drawn
  tasks = []

  def answers(member, state, frozen):
    problem = study.problem(member.hyper, member.source)
    tasks.append(problem.task)
    # Of as many examples as a step has: a layer that normalises groups of rows may take no other number.
    examples_of_step = problem.batch(member.keys, known._replace(source=member.source), jnp.int32(0))
    batch(examples_of_step, 'batch')
    return objective(problem.objective(frozen.joined(state.variables), examples_of_step, member.keys))[1].outputs

  values(drawn, jax.eval_shape(answers, *shapes((members, state, frozen))).shape, tasks[0].vocabulary)


def values(drawn: Data, outputs: tuple[int, ...], vocabulary: int | None = None) -> None:
  """Finite numbers, labels of outputs (n, ..., k), tokens of the vocabulary; arrays may have an axis of members in front."""
  for split, (x, y) in (('train', drawn.train), ('test', drawn.test)):
    for path, leaf in trees.by_path({'x': x, 'y': y}).items():
      array, name = parallel.seen(leaf), f'{split}.{path}'
      if jnp.issubdtype(array.dtype, jnp.floating):
        wrong = array.size - np.count_nonzero(np.isfinite(array))
        if wrong:
          raise ValueError(f'{name} {array.shape} holds {wrong} numbers that are not finite: leave out the examples with them')
      elif path == 'y':
        labels(array if len(outputs) == 2 else np.maximum(array, 0), outputs[-1], name)
      elif vocabulary is not None:
        tokens(array, vocabulary, name)


def parameters(params: Tree) -> None:
  """Arrays of real floats, which is what has a gradient."""
  if not jax.tree.leaves(params):
    raise ValueError("there are no parameters: a model needs at least one under 'params'")
  for path, leaf in trees.by_path(params).items():
    where, way = f'parameter {path}'.rstrip(), "jnp.asarray(..., jnp.float32), or held outside of 'params' if it is not trained"
    if not isinstance(leaf, ARRAYS):
      raise ValueError(f'{where} is a Python {type(leaf).__name__}; it must be an array: {way}')
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
      raise ValueError(f'{where} is {leaf.dtype}; it must be floating: hold its real and imaginary parts as two float arrays')
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      raise ValueError(f'{where} is {leaf.dtype}, in which there is no derivative; it must be floating: {way}')
    if leaf.dtype == np.float64 and not jax.config.jax_enable_x64:
      raise ValueError(
        f'{where} is float64, but jax is in 32-bit mode and would make it float32: call '
        f"jax.config.update('jax_enable_x64', True) first, or give float32"
      )


def predictions(outputs: Array, targets: Array) -> None:
  """Outputs (n, k) of floats, with labels (n,) of whole numbers or targets (n, k) of floats: what a loss compares."""
  if not isinstance(outputs, ARRAYS) or not jnp.issubdtype(outputs.dtype, jnp.floating):
    raise ValueError(f'a loss takes outputs (n, k) of floats, but the model answers {_one(outputs)}')
  if outputs.ndim != 2:
    positions = ': labels of positions need an objective that reads them' if outputs.ndim == 3 else ''
    raise ValueError(f'a loss takes outputs (n, k), but the model answers {outputs.shape}{positions}')
  n, k = outputs.shape
  kinds = f'labels ({n},) of whole numbers or targets ({n}, {k}) of floats'
  if not isinstance(targets, ARRAYS):
    raise ValueError(f'the outputs are {outputs.shape}, but the targets are a {type(targets).__name__}: they must be {kinds}')
  if jnp.issubdtype(targets.dtype, jnp.integer):
    if targets.shape != (n,):
      floats = f', or floats ({n}, {k})' if targets.shape == (n, k) else ''
      raise ValueError(f'the outputs are {outputs.shape}, but the labels are {targets.shape}: they must be ({n},){floats}')
    if k - 1 > jnp.iinfo(targets.dtype).max:
      raise ValueError(f'the labels are {targets.dtype}, which does not count to the {k} classes of {outputs.shape}: give int32')
  elif not jnp.issubdtype(targets.dtype, jnp.floating):
    raise ValueError(f'the targets are {_one(targets)}: they must be {kinds}')
  elif targets.shape != (n, k):
    raise ValueError(f'the outputs are {outputs.shape}, but the targets are {_one(targets)}: they must be {kinds}')


def labels(targets: Array, k: int, name: str = 'targets', padding: int | None = None) -> None:
  """Labels of the k classes, 0 and 1 of a single output, or of `padding`; tracers and floats are let through."""
  if isinstance(targets, jax.core.Tracer) or not jnp.issubdtype(targets.dtype, jnp.integer) or not targets.size:
    return
  known = np.asarray(targets)  # jax's own functions would be traced here
  real = known if padding is None else np.where(known == padding, 0, known)
  least, most, classes = int(real.min()), int(real.max()), max(k, 2)
  if least < 0 or most >= classes:
    beside = '' if padding is None else f', or {padding} for padding'
    raise ValueError(
      f'the labels of {name} go from {least} to {most}, but with outputs (n, {k}) they must be 0 to {classes - 1}{beside}'
    )


def outputs(answer: Array, what: str) -> Array:
  """One array, as it is."""
  if not isinstance(answer, ARRAYS):
    raise ValueError(f'{what} returns a {type(answer).__name__}; it must be one array (n, ..., k)')
  return answer


def losses(each: Array, n: int) -> Array:
  """The values of a loss, (n,) floats, as they are."""
  if not isinstance(each, ARRAYS) or each.shape != (n,) or not jnp.issubdtype(each.dtype, jnp.floating):
    raise ValueError(f'a loss must give one number an example, ({n},), but this one gives {_shown(each)}')
  return each


def objective(result: tuple[Array, Aux]) -> tuple[Array, Aux]:
  """What an objective gives, a float scalar and Aux, as it is."""
  if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Aux):
    gives = _one(result) if isinstance(result, ARRAYS) else f'a {type(result).__name__}'
    raise ValueError(f'the objective gives {gives}; it must give a pair: a single number and Aux')
  value = result[0]
  if not isinstance(value, ARRAYS) or value.shape or not jnp.issubdtype(value.dtype, jnp.floating):
    raise ValueError(f'the objective gives {_one(value)}; it must give a single number')
  return result


def _one(leaf) -> str:
  return f'{leaf.dtype}{leaf.shape}' if isinstance(leaf, ARRAYS) else f'a Python {type(leaf).__name__}'


def _shown(each) -> str:
  """The shape of floats, as nothing else is wrong with them, or all that is known."""
  return str(each.shape) if isinstance(each, ARRAYS) and jnp.issubdtype(each.dtype, jnp.floating) else _one(each)
