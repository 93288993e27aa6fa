"""Figures and verdicts: python -m paper_figures [PAPER ...]

  PAPER            a file of paper_figures/ (default: all); demo is the small one of `make demo`
  --list           papers, whether their runs exist, and what they cost
  --slow           also make runs that take long
  --scope          also make the runs that say how far claims carry: other tasks, widths, data
  --register       state the intervals of the claims in docs/gallery/registered, to be committed before their runs
  --draw_only      make no runs; draw and judge what is there
  --gallery        also write the ledger and thumbnails of the figures into docs/gallery
  --page           write gallery, reference and texts as pages that open from the disk, into the folder page of --to; figures are
                   SVG where their runs are in --out, and the committed pictures elsewhere (needs: pip install -e '.[page]')
  --workers N      make missing runs in N processes of this machine, all of them before the first figure (default: in this one)
  --seeds 0,1      these seeds instead of the configs' own: to try a figure before its claims are judged
  --out DIR        where results lie (default: results)
  --mirror ADDRESS from where runs are brought first that are not there (gs://, s3:// or another address)
  --to DIR         where figures go (default: figures)

Missing runs are made first. Each figure is written as PDF, PNG and SVG, with the CSV behind it and the hashes of its runs.
"""

import functools
import importlib
import pathlib
import shlex
import sys
from collections.abc import Sequence
from types import SimpleNamespace

from dynamics.schema import ConfigError

HERE = pathlib.Path(__file__).parent
GALLERY = HERE.parent / 'docs' / 'gallery'
PARTS = {'__init__', '__main__', 'pages', 'panels', 'paper', 'plots', 'output', 'registration'}  # files that are no paper


def main(argv: Sequence[str]) -> int:
  """Exit status: 0 all drawn that was asked for, 2 a mistake, 3 some runs are missing, 130 stopped."""
  if any(word in ('--help', '-h') for word in argv):
    print(__doc__)
    return 0
  from analysis.tables import Missing  # after --help, which needs no tables
  from dynamics.sealed import SealError
  from experiments import command
  from experiments.disk import StoreError

  try:
    options = _parse(argv)
    papers = {name: importlib.import_module(f'paper_figures.{name}') for name in options.papers}
    if options.register:
      return register(papers)
    if options.page:
      return page(papers, options)
    if options.list:
      print('\n'.join(line for name, paper in papers.items() for line in listing(name, paper, options)))
      return 0
    if options.workers > 1 and not options.draw_only and (status := make_side_by_side(papers, options)) in (2, 130):
      return status
    statuses = [rebuild(name, paper, options) for name, paper in papers.items()]
  except (ConfigError, Missing, StoreError, SealError, OSError) as error:
    return command.refused(error)
  return max(statuses)


def names() -> list[str]:
  """All papers."""
  return sorted(path.stem for path in HERE.glob('*.py') if path.stem not in PARTS)


def cells_by(seeds: tuple[int, ...] | None):
  """config -> its cells, read once; with other seeds where some are given."""

  @functools.cache
  def cells_of(config):
    from experiments import config as configs

    return tuple(configs.cells(config, [('seeds', seeds)] if seeds else []))

  return cells_of


def register(papers) -> int:
  from paper_figures import registration

  for name, paper in papers.items():
    changed = registration.register(name, paper)
    print(f'{name}: {len(changed)} new or changed {" ".join(changed)}'.rstrip())
  return 0


def page(papers, options) -> int:
  """Builds the site of what is committed, and of the runs that are in `--out`."""
  from paper_figures.site import installed

  installed.check()
  from paper_figures import output
  from paper_figures.site import build, stored

  rows, others = output.read_ledger(GALLERY), stored.made_as(options.out)
  pictures = {}
  for name, paper in papers.items():
    for spec in paper.FIGURES:
      if options.out.is_dir():
        print(f'looking for the runs of {spec.name} ...', flush=True)
        pictures[spec.name] = stored.picture(spec, name, options.cells, options.out, options.to, GALLERY, others)
      else:
        pictures[spec.name] = stored.committed(spec, name, GALLERY, f'there is no folder {options.out.name} with stored runs')
  built = build.build(papers, rows, pictures, options.to / 'page')
  for line in built.warnings:
    print(f'warning: {line}', file=sys.stderr)
  drawn = sum(picture.file is not None and picture.file.suffix == '.svg' for picture in pictures.values())
  print(f'{built.pages} pages, {built.bytes / 1e6:.1f} MB, {drawn} of {len(pictures)} figures as SVG')
  print(f'page: {built.index}')
  return 0


def wanted(paper) -> list[str]:
  """The configs of a paper, each once."""
  asked = [c for figure in paper.FIGURES for c in figure.configs] + [c for claim in paper.CLAIMS for c in claim.of]
  return list(dict.fromkeys(asked))


def variants(paper) -> list[str]:
  """The configs that say how far its claims carry, each once."""
  from paper_figures import output

  asked = [output.variant(config, word) for claim in paper.CLAIMS for word in claim.scope.values() for config in claim.of]
  return list(dict.fromkeys(asked))


def absent_data(paper, options) -> dict[str, str]:
  """The variants whose data are not on this disk, with the sentence that says so."""
  absent = {}
  for config in variants(paper):
    try:
      options.cells(config)
    except ConfigError as error:
      if not isinstance(error.__cause__, FileNotFoundError):
        raise
      absent[config] = str(error)
  return absent


def listing(name: str, paper, options) -> list[str]:
  """What `--list` says of a paper."""
  from analysis import tables
  from dynamics import progress

  lines = [f'{name}: {paper.__doc__.splitlines()[0]}']
  absent = absent_data(paper, options)
  lines += [f'  {config}: not here: {sentence}' for config, sentence in absent.items()]
  for config in (c for c in wanted(paper) + variants(paper) if c not in absent):
    cells = options.cells(config)
    there = tables.done(cells, options.out)
    seconds = sum(
      sum(tables.summary(cell, options.out)['seconds'].values()) for cell, done in zip(cells, there, strict=True) if done
    )
    cost = f'took {progress.duration(seconds)}' if all(there) else run_time(config)
    slow = ', slow' if config in paper.SLOW else ''
    lines.append(f'  {config}: {sum(there)} of {len(cells)} runs there{slow}; {cost}')
  return lines


def run_time(config: str) -> str:
  """The line 'Run time: ...' of a config's docstring."""
  lines = pathlib.Path(config.partition(':')[0]).read_text().splitlines()
  return next((line.strip() for line in lines if line.strip().startswith('Run time:')), 'run time not stated')


def rebuild(name: str, paper, options) -> int:
  """Makes what is missing, draws, judges and writes."""
  from analysis import tables

  fetch(paper, options)
  status = make(paper, options) if options.workers == 1 and not options.draw_only else 0
  if status:
    return status
  from paper_figures import output, registration

  without_data = absent_data(paper, options)
  asked = [c for c in wanted(paper) + variants(paper) if c not in without_data]
  available = {c for c in asked if all(tables.done(options.cells(c), options.out))}
  cells_of = options.cells
  command = lambda config: f'python -m experiments.run --config={config}' + seeds_text(options.seeds) + out_text(options.out)

  @functools.cache
  def get(config, probe):
    return tables.load(cells_of(config), probe, options.out, command(config))

  missing = [c for c in wanted(paper) if c not in available]
  for config in missing:
    why = 'not run' if is_asked(config, paper, options) else 'slow, not run without --slow'
    print(f'{config}: {why}; {run_time(config)} make it with: {command(config)}')
  for figure in paper.FIGURES:
    if not set(figure.configs) <= available:
      continue
    made_of = output.inputs(figure.configs, cells_of, options.out)
    if not options.gallery and output.up_to_date(figure, made_of, options.to):
      print(f'figure: {options.to / figure.name}.png is as it would be drawn')
      continue
    print(f'drawing {figure.name} ...', flush=True)
    print(f'figure: {output.figure(figure, get, cells_of, options.to, GALLERY if options.gallery else None, made_of)}')
  of = [config for config in asked if config in available]
  verdicts = output.judged(name, paper, get, cells_of, of, options.to, output.inputs(of, cells_of, options.out))
  print(output.table(verdicts))
  history = registration.history(name, paper, cells_of, options.out)
  print(f'ledger: {output.ledger(name, paper, verdicts, options.to, history)}')
  if options.gallery:
    output.ledger(name, paper, verdicts, GALLERY, history)
    everything = [importlib.import_module(f'paper_figures.{n}') for n in names()]
    print(f'gallery: {output.gallery(everything, GALLERY)}')
  return 3 if any(is_asked(config, paper, options) for config in missing) else 0


def fetch(paper, options) -> None:
  """Brings the runs of a paper from the mirror, where there is one."""
  from experiments import command

  command.fetch(options.mirror, [cell for config in wanted(paper) for cell in options.cells(config)], options.out)


def make(paper, options) -> int:
  """Runs what is not there, in this process."""
  missing = not_run(paper, options)
  if not missing:
    return 0
  from experiments import run

  for config in missing:
    print(f'{config}: {run_time(config)}')
    if not run.run_cells(options.cells(config), run.Options(out=options.out)).finished:
      return 130
  return 0


def make_side_by_side(papers, options) -> int:
  """Runs what is not there of all papers, several at a time; the exit status of `experiments.sweep`."""
  for paper in papers.values():
    fetch(paper, options)
  missing = list(dict.fromkeys(config for paper in papers.values() for config in not_run(paper, options)))
  if not missing:
    return 0
  from experiments import sweep

  seeds = [f'--config.seeds=({",".join(map(str, options.seeds))},)'] if options.seeds else []
  configs = [f'--config={config}' for config in missing]
  return sweep.main([*configs, *seeds, '--launcher=process', f'--workers={options.workers}', f'--out={options.out}'])


def not_run(paper, options) -> list[str]:
  """The configs whose runs are asked for and are not in the folder of results."""
  from analysis import tables

  absent = absent_data(paper, options) if options.scope else {}
  for config, sentence in absent.items():
    print(f'{config}: left out: {sentence}')
  asked = wanted(paper) + ([c for c in variants(paper) if c not in absent] if options.scope else [])
  return [c for c in asked if is_asked(c, paper, options) and not all(tables.done(options.cells(c), options.out))]


def is_asked(config: str, paper, options) -> bool:
  """Whether its runs are made where they are missing: slow ones on demand."""
  return options.slow or config.partition(':')[0] not in paper.SLOW


def seeds_text(seeds: tuple[int, ...] | None) -> str:
  return f' --config.seeds="({",".join(map(str, seeds))},)"' if seeds else ''


def out_text(out: pathlib.Path) -> str:
  return f' --out={shlex.quote(str(out))}' if out != pathlib.Path('results') else ''


def _seeds(text: str) -> tuple[int, ...] | None:
  words = text.split(',') if text else []
  if not all(word.isascii() and word.strip().removeprefix('-').isdigit() for word in words):
    raise ConfigError(f'--seeds is {text!r}; it must be whole numbers with commas between them, such as 0,1.')
  return tuple(map(int, words)) or None


def _workers(text: str) -> int:
  if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000):
    raise ConfigError(f'--workers is {text!r}; it must be a whole number of processes, 1 to 10000.')
  return int(text)


def _parse(argv: Sequence[str]) -> SimpleNamespace:
  from experiments import arguments, command

  texts = {'--seeds': '', '--workers': '1', '--out': 'results', '--mirror': '', '--to': 'figures'}
  switches = ('--list', '--slow', '--scope', '--register', '--draw_only', '--gallery', '--page')
  options = arguments.read(argv, texts, switches, names(), before=('--help',))
  options.papers, options.seeds, options.workers = options.names, _seeds(options.seeds), _workers(options.workers)
  options.out, options.to = command.folder('--out', options.out), command.folder('--to', options.to)
  if any(place.is_file() for place in (options.to, *options.to.parents)):
    raise ConfigError(f'--to is {str(options.to)!r}, which is a file or lies below one; figures go to a folder.')
  if options.seeds and options.gallery:
    raise ConfigError('--gallery shows the seeds that judge; leave out --seeds.')
  if options.register and len([word for word in argv if word.startswith('--')]) > 1:
    raise ConfigError('--register states intervals and does nothing else; leave out the other flags.')
  if options.page and (options.papers or options.seeds or options.gallery or options.slow or options.scope or options.mirror):
    raise ConfigError('--page shows all papers as they are committed; beside it only --out and --to may be given.')
  options.cells = cells_by(options.seeds)
  options.papers = options.papers or [name for name in names() if name != 'demo']
  return options


if __name__ == '__main__':
  from experiments import command, cores

  cores.spread()
  sys.exit(command.run(main, sys.argv[1:]))
