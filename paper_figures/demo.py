"""A small part of figure 1 of arXiv 2501.04697: what `make demo` runs."""

from analysis.claims import Claim
from paper_figures import prieto2025
from paper_figures.paper import Figure, Get, accuracy_panels, arms_of

CONFIG = 'configs/prieto2025_demo.py'
SLOW = ()


def here(get: Get) -> Get:
  """The paper's statistics and figures, on the tables of the demo."""
  return lambda config, probe: get(CONFIG, probe)


def claim(of: Claim) -> Claim:
  return of._replace(name=of.name.replace('prieto2025', 'demo'), configs=(CONFIG,), statistic=lambda get: of.statistic(here(get)))


def draw(get: Get):
  arms = {'softmax': prieto2025.PLAIN, 'perpendicular gradient': prieto2025.PROJECTED}
  panels = arms_of(get(CONFIG, 'performance'), arms)
  return accuracy_panels(panels, 'Demo, fewer seeds and arms than the paper', 1 / 113)


CLAIMS = [claim(c) for c in prieto2025.CLAIMS if c.name.split('/')[1] in ('1a', '1b', '3a', '3b', '3c')]
FIGURES = [Figure('demo', (CONFIG,), draw, 'The perpendicular gradient generalises; softmax alone does not.')]
