"""Those of the paper whose claims the demo has."""

from tests.paper_figures.laws.prieto2025 import LAWS as PAPER

LAWS = {name: PAPER[name] for name in ('1a', '1b', '3a')}
