"""Builds the lessons as notebooks and as pages: python -m docs.lessons [1_a_sweep ...]

Each lesson is a script of cells (percent format). It becomes a notebook without outputs, NAME.ipynb, and is run, for the page
NAME.md with what its cells print and draw. Needs pip install -e '.[lessons]'; two minutes in all.
"""

import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from dynamics.schema import ConfigError
from experiments import arguments, command

FOLDER = pathlib.Path(__file__).parent
LIMIT = 600  # seconds for a cell


def main(names: Sequence[str]) -> int:
  """Exit status 0, or 2 with a sentence: a lesson that does not exist, or a package that is not installed."""
  lessons = {path.stem: path for path in sorted(FOLDER.glob('[0-9]_*.py'))}
  if '--help' in names or '-h' in names:
    print(__doc__)
    return 0
  try:
    for name in arguments.read(names, {}, names=lessons, before=('--help',)).names or lessons:
      print(f'{name} ...', flush=True)
      build(lessons[name])
  except ImportError as error:
    return command.refused(f"lessons need {error.name}: .venv/bin/pip install -e '.[lessons]' -c constraints.txt")
  except ConfigError as error:
    return command.refused(error)
  return 0


def build(path: pathlib.Path) -> None:
  """Writes the notebook and the page of a lesson."""
  import jupytext
  import nbclient
  import nbconvert

  notebook = jupytext.read(path)
  notebook.metadata['kernelspec'] = {'name': 'python3', 'display_name': 'Python 3', 'language': 'python'}
  for number, cell in enumerate(notebook.cells):
    cell['id'] = f'cell-{number}'  # else random
  jupytext.write(notebook, path.with_suffix('.ipynb'))
  os.environ['PYTHONPATH'] = str(FOLDER.parents[1])  # of the kernel, which works in a folder of its own
  with tempfile.TemporaryDirectory() as folder:
    client = nbclient.NotebookClient(notebook, timeout=LIMIT, resources={'metadata': {'path': folder}})
    client.extra_arguments = ['--InteractiveShell.ast_node_interactivity=none']  # only what is printed and drawn
    client.execute()
  text, resources = nbconvert.MarkdownExporter().from_notebook_node(
    notebook, resources={'output_files_dir': f'{path.stem}_files', 'unique_key': path.stem}
  )
  for old in FOLDER.glob(f'{path.stem}_files/*'):
    old.unlink()
  for name, content in resources['outputs'].items():
    (FOLDER / name).parent.mkdir(exist_ok=True)
    (FOLDER / name).write_bytes(content)
  head, _, rest = text.strip().partition('\n')
  lines = [line.rstrip() for line in rest.splitlines()]
  way = f'*This lesson as [a script]({path.name}) and as [a notebook]({path.stem}.ipynb).*'
  path.with_suffix('.md').write_text('\n'.join([head, '', way, *lines]) + '\n')


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
