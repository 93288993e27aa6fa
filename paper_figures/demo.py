"""A small part of figure 1 of arXiv 2501.04697: what `make demo` runs."""

from matplotlib.figure import Figure

from analysis.claims import Claim
from analysis.series import arms
from configs.prieto2025_demo import P
from paper_figures import plots, prieto2025
from paper_figures.paper import Get, PaperFigure

CONFIG = 'configs/prieto2025_demo.py'
SLOW = ()


def here(get: Get) -> Get:
  """The paper's statistics and figures, on the tables of the demo."""
  return lambda config, probe: get(CONFIG, probe)


def claim(of_paper: Claim) -> Claim:
  return of_paper._replace(
    of=(CONFIG,),
    says=of_paper.says.replace(f'mod {prieto2025.P}', f'mod {P}'),
    samples=lambda get: of_paper.samples(here(get)),
    changed=f'p = {P} for {prieto2025.P}',
    scope={},
  )


def draw(get: Get) -> Figure:
  wheres = {'softmax': prieto2025.PLAIN, 'perpendicular gradient': prieto2025.PROJECTED}
  text = f'Demo, a + b mod {P}'
  return plots.accuracies(arms(get(CONFIG, 'performance'), wheres), text, 1 / P)


CLAIMS = [claim(c) for c in prieto2025.CLAIMS if c.name in ('1a', '1b', '3a')]
FIGURES = [PaperFigure('demo', (CONFIG,), draw, 'The perpendicular gradient generalises; softmax alone does not.')]
