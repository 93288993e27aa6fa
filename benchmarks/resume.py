"""The child of `storage`: does what `experiments.run` does until the first new step, saves there, and prints seconds."""

import json
import pathlib
import sys
import time
from collections.abc import Sequence


def main(argv: Sequence[str]) -> None:
  """argv: a name ('paper' or 'small'), the folder of the run and its programs, and when the process was started."""
  name, out, begun = argv[0], pathlib.Path(argv[1]), float(argv[2])

  from benchmarks import problems
  from dynamics import parallel, plan, train
  from experiments import run, store
  from experiments.build import build

  marks = {'imports': time.time()}
  cell = problems.cell({'paper': problems.PAPER, 'small': problems.SMALL}[name])
  with store.opened(out / 'run', (), print) as stored:
    run.cache(out)
    study = build(cell)
    grid = parallel.mesh(cell.members)
    programs = train.compile_programs(study, grid)
    members = train.join(cell.seeds, cell.hyper)
    like_state, like_frozen = programs.shapes(members)
    passing = stored.training({probe: plan.table_identity(cell, probe) for probe in cell.probes})
    marks['build'] = time.time()
    restored = passing.restore(like_state)
    resume = restored and (*restored, stored.read_start(like_frozen))
    marks['restore'] = time.time()
    first = resume[0] if resume else 0
    for event in train.events(study, members, programs, resume=resume):
      stored.save_start(event.frozen)
      passing.append(event.step, event.readings)
      if event.step > first:
        break
    marks['train'] = time.time()
    passing.save(event.step, event.state)
    passing.wait()
    passing.close()
  moments = [begun, *marks.values()]
  seconds = {part: after - before for part, before, after in zip(marks, moments, moments[1:], strict=False)}
  print(json.dumps({'total': marks['train'] - begun, **seconds}))


if __name__ == '__main__':
  main(sys.argv[1:])
