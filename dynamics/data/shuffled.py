"""Images without their neighbourhoods."""

from typing import Literal

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.data.images import Labels, Source, images
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task


@component()
def shuffled(
  *,
  source: Source = 'digits',
  train: Range(int, least=1) = 1437,
  test: Range(int, least=1) = 360,
  flat: bool = True,
  labels: Labels = 'classes',
  pixels: Literal['kept', 'shuffled'] = 'shuffled',
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """The data of `images` with one random order of the pixels for all images, training and test; channels stay together.

  With pixels 'kept' they are those of `images`, so a sweep over `pixels` compares the two on the same split.

  Raises:
    as `images`.
  Source: 1804.08838 (shuffled pixels).
  """
  task = images(source=source, train=train, test=test, labels=labels, flat=False, label_noise=label_noise)

  def draw(key):
    data = task.draw(key)
    height, width = data.train.x.shape[1:3]
    places = jnp.arange(height * width)
    order = jax.random.permutation(trees.named_key(key, 'pixels'), places) if pixels == 'shuffled' else places

    def moved(batch):
      n, *shape = batch.x.shape
      x = batch.x.reshape((n, height * width, -1))[:, order]
      return Batch(x.reshape((n, -1) if flat else (n, *shape)), batch.y)

    return Data(moved(data.train), moved(data.test))

  return task._replace(draw=draw)
