"""Images as sequences: row by row, or pixel by pixel."""

from typing import Literal

from dynamics.components import component
from dynamics.data.images import Labels, Source, images
from dynamics.schema import Range, Traced
from dynamics.types import Batch, Data, Task


@component()
def scans(
  *,
  source: Source = 'digits',
  train: Range(int, least=1) = 1437,
  test: Range(int, least=1) = 360,
  labels: Labels = 'classes',
  order: Literal['rows', 'pixels'] = 'rows',
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """The data of `images`, as x: (n, height, width * channels), or (n, height * width, channels) pixel by pixel.

  Raises:
    as `images`.
  Source: 1504.00941 (pixel by pixel).
  """
  task = images(source=source, train=train, test=test, labels=labels, flat=False, label_noise=label_noise)

  def scan(batch):
    n, height, width, channels = batch.x.shape
    shape = (n, height, width * channels) if order == 'rows' else (n, height * width, channels)
    return Batch(batch.x.reshape(shape), batch.y)

  def draw(key):
    data = task.draw(key)
    return Data(scan(data.train), scan(data.test))

  return task._replace(draw=draw)
