"""Lessons: the notebook and the page of each hold its cells, and each runs, in two minutes at most."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LESSONS = sorted((ROOT / 'docs' / 'lessons').glob('[0-9]_*.py'))
LIMIT = 120  # seconds


def cells(path):
  """(whether it is text, content) of each cell of a script in percent format."""
  parts = re.split(r'^# %%(.*)\n', path.read_text(), flags=re.MULTILINE)[1:]
  for head, body in zip(parts[::2], parts[1::2], strict=True):
    text = head.strip() == '[markdown]'
    yield text, (re.sub(r'^# ?', '', body, flags=re.MULTILINE) if text else body).strip()


@pytest.mark.parametrize('path', LESSONS, ids=lambda path: path.stem)
def test_the_notebook_and_the_page_are_those_of_the_script(path):
  notebook = json.loads(path.with_suffix('.ipynb').read_text())
  told = [(cell['cell_type'] == 'markdown', ''.join(cell['source']).strip()) for cell in notebook['cells']]
  assert told == list(cells(path)), 'give: python -m docs.lessons'
  page = path.with_suffix('.md').read_text()
  for _, content in told[1:]:
    assert content in page, 'give: python -m docs.lessons'
  pictures = re.findall(r'!\[[^\]]*\]\(([^)]*)\)', page)
  assert len(pictures) == path.read_text().count('.savefig(')
  assert all((path.parent / picture).stat().st_size > 5_000 for picture in pictures)


@pytest.mark.slow
@pytest.mark.parametrize('path', LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_in_two_minutes(path, tmp_path):
  environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'MPLBACKEND': 'agg'}
  subprocess.run([sys.executable, path], cwd=tmp_path, env=environment, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
  assert len(list(tmp_path.glob('*.png'))) == path.read_text().count('.savefig(')
