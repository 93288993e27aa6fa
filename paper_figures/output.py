"""What `python -m paper_figures` writes: figures with the numbers behind them, and the ledger of verdicts."""

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from analysis import claims
from analysis.statistics import Estimate
from dynamics import sealed
from dynamics.plan import identity
from paper_figures import pages, panels
from paper_figures.paper import STYLE, PaperFigure

ROOT = pathlib.Path(__file__).parents[1]
CODE = ('paper_figures', 'analysis', 'configs', 'dynamics/theory')  # what figures are computed with
SEAL = 'ledger.json'  # beside ledger.csv
LIBRARIES = ('matplotlib', 'numpy', 'pandas', 'scipy')
THUMBNAIL = 150_000  # bytes at most
CURVES = 'curves/{}.json'  # of a figure, from `panels`, in a folder of figures
COLUMNS = (
  *('paper', 'claim', 'kind', 'sentence', 'source', 'changed', 'expected', 'measured', 'verdict', 'note', 'reason'),
  *('carries', 'scope', 'stated', 'judged', 'runs'),
)


def figure(
  spec: PaperFigure, get: Callable, cells_of: Callable, to: pathlib.Path, gallery: pathlib.Path | None, made_of: str = ''
) -> pathlib.Path:
  """Draws one figure as PDF, PNG and SVG; beside them the CSV of every table it asked for, its curves and the hashes of its runs.

  Args:
    spec: what to draw.
    get: (config, probe) -> table.
    cells_of: config -> its cells.
    to: the folder of figures.
    gallery: the folder of thumbnails, if one is wanted.
    made_of: from `inputs`, for `up_to_date`.
  """
  asked = {}

  def noted(config, probe):
    asked[config, probe] = get(config, probe)
    return asked[config, probe]

  to.mkdir(parents=True, exist_ok=True)
  with matplotlib.style.context(STYLE):
    drawing = spec.draw(noted)
    runs = sorted({identity(cell) for config in spec.configs for cell in cells_of(config)})
    # Without dates in the file, the same tables give the same bytes.
    drawing.savefig(to / f'{spec.name}.pdf', metadata={'CreationDate': None, 'Keywords': ' '.join(runs)})
    drawing.savefig(to / f'{spec.name}.png', metadata={'Description': ' '.join(runs)})
    drawing.savefig(to / f'{spec.name}.svg', metadata={'Date': None, 'Description': ' '.join(runs)})
    if gallery:
      gallery.mkdir(parents=True, exist_ok=True)
      _thumbnail(drawing, gallery / f'{spec.name}.png', runs)
    curves = panels.text(drawing)
  tables = {f'{spec.name}_{_stem(config)}_{probe}.csv': table for (config, probe), table in asked.items()}
  for name, table in tables.items():
    table.to_csv(to / name, index=False)
  for folder in (to, *([gallery] if gallery else [])):
    _write(folder / CURVES.format(spec.name), curves)
  about = {'caption': spec.caption, 'runs': runs, 'tables': sorted(tables), 'made_of': made_of}
  (to / f'{spec.name}.json').write_text(json.dumps(about, indent=1))
  return to / f'{spec.name}.png'


def _stem(config: str) -> str:
  """A config in the name of a file: 'configs/x.py:tanh' is x_tanh, so that variants have tables of their own."""
  path, _, word = config.partition(':')
  return '_'.join([pathlib.Path(path).stem, *([word] if word else [])])


def inputs(configs: Sequence[str], cells_of: Callable, out: pathlib.Path) -> str:
  """A digest of all that is drawn and judged from these configs: our code, the versions of libraries, the tables of runs."""
  code = [path for folder in CODE for path in sorted((ROOT / folder).glob('*.py'))]
  folders = [out / identity(cell) for config in configs for cell in cells_of(config)]
  stored = [path for folder in folders for path in (folder / 'done.json', *sorted(folder.glob('tables/*/done.json')))]
  digest = hashlib.sha256(repr([(name, metadata.version(name)) for name in LIBRARIES]).encode())
  for path in (*code, pathlib.Path(STYLE), *stored):
    digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
  return digest.hexdigest()


def up_to_date(spec: PaperFigure, made_of: str, to: pathlib.Path) -> bool:
  """Whether a figure and the tables beside it are there, and made of this."""
  try:
    about = json.loads((to / f'{spec.name}.json').read_text())
    files = [*(f'{spec.name}.{kind}' for kind in ('pdf', 'png', 'svg')), CURVES.format(spec.name), *about['tables']]
    return about['made_of'] == made_of and all((to / name).is_file() for name in files)
  except (OSError, ValueError, KeyError, TypeError):
    return False


def judged(name: str, paper, get: Callable, cells_of: Callable, available: Sequence[str], to: pathlib.Path, made_of: str) -> list:
  """The ledger's rows of a paper's claims; those of the last time, where they were made of the same.

  Args:
    name: of the paper's file.
    paper: its module.
    get: (config, probe) -> table.
    cells_of: config -> its cells.
    available: the configs whose runs are there.
    to: the folder of figures.
    made_of: from `inputs`.
  """
  file = to / f'{name}_verdicts.json'
  made_of = hashlib.sha256(repr((made_of, sorted(available))).encode()).hexdigest()
  with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
    about = json.loads(file.read_text())
    if about['made_of'] == made_of:
      return about['rows']
  print('judging ...', flush=True)
  rows = [claims.row(name, verdict(claim, get, cells_of, set(available).__contains__)) for claim in paper.CLAIMS]
  to.mkdir(parents=True, exist_ok=True)
  _write(file, json.dumps({'made_of': made_of, 'rows': rows}, indent=1))
  return rows


def verdict(claim: claims.Claim, get: Callable, cells_of: Callable, available: Callable[[str], bool]) -> claims.Verdict:
  """The verdict of a claim, or 'not run', and those of the same sentence where else it should hold.

  Args:
    claim: what to judge.
    get: (config, probe) -> table.
    cells_of: config -> its cells.
    available: config -> whether its runs are there.
  """

  def judged(name_of):
    configs = [name_of(config) for config in claim.of]
    if not all(map(available, configs)):
      return claims.Verdict(claim, Estimate(math.nan, math.nan, math.nan, 0), claims.NOT_RUN, ())
    runs = [identity(cell) for config in configs for cell in cells_of(config)]
    return claims.judge(claim, claim.samples(lambda config, probe: get(name_of(config), probe)), runs)

  scope = {where: judged(lambda config, word=word: variant(config, word)) for where, word in claim.scope.items()}
  return judged(lambda config: config)._replace(scope=scope)


def variant(config: str, argument: str) -> str:
  """A config's variant: its file with another argument."""
  return f'{config.partition(":")[0]}:{argument}'


def table(rows: Sequence[Mapping[str, str]]) -> str:
  """Rows of the ledger as lines for a terminal."""
  lines = []
  for row in rows:
    lines.append(f'{row["verdict"]:>9}  {row["claim"]}  {row["sentence"]}.')
    lines.append(f'{"":>9}  {row["expected"]}; measured {row["measured"] or "nothing"} {row["note"]}'.rstrip())
    lines += [f'{"":>9}  carries {row["carries"]}; {row["scope"]}'.rstrip('; ')] if row['carries'] else []
  return '\n'.join(lines)


def ledger(name: str, paper, judged: Sequence[Mapping[str, str]], folder: pathlib.Path, history: Mapping) -> pathlib.Path:
  """Writes ledger.csv and ledger.md, in which this paper's rows take the place of its old ones, under a lock and whole.

  Args:
    name: of the paper's file.
    paper: its module.
    judged: the rows of all its claims.
    folder: where the ledger lies.
    history: claim -> columns `stated` and `judged`, see `paper_figures.registration`.
  """
  title = ' '.join(paper.__doc__.splitlines()[0].split())
  with _alone(folder):
    rows = [row for row in read_ledger(folder) if not row['claim'].startswith(f'{name}/')]
    rows += [{**dict.fromkeys(COLUMNS, ''), 'paper': title, **row, **history.get(row['claim'], {})} for row in judged]
    rows.sort(key=lambda row: (row['claim'].partition('/')[0], row['paper'], row['claim']))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    _seal(folder, text.getvalue())
    _write(folder / 'ledger.csv', text.getvalue())
    _write(folder / 'ledger.md', '\n'.join(['# Ledger', '', *pages.summary(rows), *pages.ledger(rows)]))
  return folder / 'ledger.md'


def read_ledger(folder: pathlib.Path) -> list[dict[str, str]]:
  """The rows of ledger.csv; none where there is no file.

  Raises:
    SealError: it is not as it was written.
  """
  path, seal = folder / 'ledger.csv', folder / SEAL
  if not path.is_file():
    return []
  text = path.read_text(encoding='utf-8', errors='replace')
  if seal.is_file() and _digest(text) not in sealed.read(seal)['ledger.csv']:
    raise sealed.SealError(f'{path} is not as it was written: remove it and {seal.name}, and give the same command again')
  return [{name: row.get(name, '') for name in COLUMNS} for row in csv.DictReader(io.StringIO(text))]


def _seal(folder: pathlib.Path, text: str) -> None:
  """Writes the digests that ledger.csv may have: the new one and, until that is written, the old one."""
  path = folder / 'ledger.csv'
  old = [_digest(path.read_text())] if path.is_file() else []
  _write(folder / SEAL, sealed.sealed({'ledger.csv': [_digest(text), *old]}))


def _digest(text: str) -> str:
  return hashlib.sha256(text.encode()).hexdigest()


def gallery(papers: Sequence, folder: pathlib.Path) -> pathlib.Path:
  """Writes README.md: a line a paper, then the thumbnails that are there with their captions, and the claims."""
  with _alone(folder):
    _write(folder / 'README.md', pages.gallery(papers, read_ledger(folder), folder))
  return folder / 'README.md'


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
  """No other process writes here until this one has."""
  folder.mkdir(parents=True, exist_ok=True)
  handle = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
  finally:
    os.close(handle)


def _write(path: pathlib.Path, text: str) -> None:
  """All of a file or none of it."""
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    part.write_text(text)
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)


def _thumbnail(drawing: Figure, path: pathlib.Path, runs: Sequence[str]) -> None:
  """A PNG of 256 colours, small enough to commit."""
  about = PngInfo()
  about.add_text('Description', ' '.join(runs))
  for dpi in (110, 90, 70, 50):
    whole = io.BytesIO()
    drawing.savefig(whole, dpi=dpi, format='png')
    Image.open(whole).convert('RGB').quantize(dither=Image.Dither.NONE).save(path, optimize=True, pnginfo=about)
    if path.stat().st_size < THUMBNAIL:
      return
  raise ValueError(f'{path} is over {THUMBNAIL} bytes even at 50 dots an inch: draw fewer points')
