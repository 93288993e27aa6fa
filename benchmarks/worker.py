"""A side in a process of its own, asked over pipes: for peers that cannot live in one process with us, and for peak memory.

The worker makes its work, does it once, writes the answer to a file and says what that took; then every line that it reads
is a number of calls, and the line that it writes says how long they took. Linux with glibc alone, for the peaks.
"""

import ctypes
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
MIB = 2**20


class Worker(NamedTuple):
  """A running side. `first`: versions, seconds of the first call, and MiB: `before` it, `peak`, and `extra` of a later call."""

  process: subprocess.Popen
  first: Mapping[str, Any]

  def calls(self, number: int) -> tuple[float, float]:
    """Seconds by the clock, and of processor time, that this many calls took inside of the worker."""
    self.process.stdin.write(f'{number}\n')
    self.process.stdin.flush()
    took = _answer(self.process)
    return took['wall'], took['processor']

  def close(self) -> None:
    self.process.stdin.close()
    self.process.wait()
    self.process.stdout.close()


def start(python: str, words: Sequence[str], **environment: str) -> Worker:
  """`python -m WORDS` with these variables set, once it has done its work a first time.

  Raises:
    RuntimeError: the worker ended before it answered; its own message is on stderr.
  """
  command = [python, '-W', 'ignore', '-m', *words]
  pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
  process = subprocess.Popen(command, env=environment, **pipes)
  return Worker(process, _answer(process))


def serve(work: Callable[[], np.ndarray], answer: str, versions: str) -> None:
  """The worker's side. `work` returns only when it is done; what it returns first goes to the file `answer`."""
  before, begun = _now(), time.perf_counter()
  found = work()
  seconds, peak = time.perf_counter() - begun, _peak()
  np.save(answer, np.asarray(found))
  del found
  time.sleep(0.2)  # a device frees memory a moment after its answer
  ctypes.CDLL(None).malloc_trim(0)  # or freed memory that is still resident would hide what the next call takes
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew
  at = _now()
  work()
  _say(versions=versions, seconds=seconds, before=before, peak=peak, extra=_peak() - at)
  for line in sys.stdin:
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(int(line)):
      work()
    _say(wall=time.perf_counter() - wall, processor=time.process_time() - processor)


def _answer(process: subprocess.Popen) -> dict[str, Any]:
  line = process.stdout.readline()
  if not line:
    raise RuntimeError(f'{" ".join(process.args)} ended with {process.wait()} before it answered')
  return json.loads(line)


def _say(**words) -> None:
  print(json.dumps(words), flush=True)


def _now() -> float:
  """MiB resident at this moment."""
  return _status('VmRSS')


def _peak() -> float:
  """The most MiB resident so far. ru_maxrss would not do: in a child it begins at what its parent had."""
  return _status('VmHWM')


def _status(name: str) -> float:
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  (line,) = (line for line in lines if line.startswith(f'{name}:'))
  return int(line.split()[1]) * 1024 / MIB
