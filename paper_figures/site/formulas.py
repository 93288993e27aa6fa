"""Formulas of pages as MathML, which browsers set without a network and which screen readers speak."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict:
  """Makes this the way in which Sphinx sets formulas."""
  app.add_html_math_renderer('mathml', (_writer('inline'), None), (_writer('block'), None))
  return {'parallel_read_safe': True, 'parallel_write_safe': True}


def _writer(display: str):
  """What writes a formula, beside or between lines of text, in the place of its node."""

  def write(translator, node) -> None:
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode

  return write
