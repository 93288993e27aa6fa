"""Inits whose convolutions begin as one matrix at the centre of the window; all other weights are drawn whole.

A convolution then has the gain of a dense layer: the mean square of an entry at the centre is init_scale^2 / channels.
"""

from dynamics.components import component
from dynamics.inits import distributions
from dynamics.inits.independent import Init, Plain, Scale, independent


@component()
def delta_orthogonal(*, init_scale: Scale = 1.0) -> Init:
  """A Haar-orthogonal matrix at the centre of every convolution's window and 0 elsewhere; dense weights are `orthogonal`.

  With circular padding and no fewer channels out than in, such a convolution keeps norms, up to init_scale
  sqrt(channels out / channels in). Padding 'SAME' does so too, because only the centre is read. In a grouped convolution the
  matrix is that of one group's channels and all outputs.

  Source: 1806.05393 (algorithm 1).
  """
  return independent(distributions.centred(distributions.orthogonal), init_scale)


@component()
def centre_tap(*, distribution: Plain = 'gaussian', init_scale: Scale = 1.0) -> Init:
  """Weights of `distribution`, in convolutions at the centre of the window alone: images are mapped pixel by pixel.

  Source: 1806.05393 (the variance profile of a delta function).
  """
  return independent(distributions.centred(getattr(distributions, distribution)), init_scale)
