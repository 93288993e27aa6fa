"""What a paper's file is made of, beside its claims: figures, drawn from tables."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

STYLE = str(pathlib.Path(__file__).with_name('paper.mplstyle'))  # in force while `output.figure` draws

Get = Callable[[str, str], pd.DataFrame]  # (config, probe) -> tidy table


class PaperFigure(NamedTuple):
  """A figure: its name, the configs it asks for, and how it is drawn."""

  name: str  # file name, 'prieto2025_accuracy'
  configs: tuple[str, ...]
  draw: Callable[[Get], Figure]
  caption: str
