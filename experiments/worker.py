"""A process that makes the units it is given on standard input: started by `experiments.launchers.process`, not by hand.

Each pickled pair (options, unit) is answered by a pickled `Reply`. When the input ends, whoever started it is gone: then it saves
and stops.
"""

import os
import pickle
import queue
import signal
import sys
import threading


def main() -> None:
  answers = os.fdopen(os.dup(1), 'wb')
  silence = os.open(os.devnull, os.O_WRONLY)
  os.dup2(silence, 1)  # whatever libraries print is no answer
  from experiments import cores

  cores.spread()
  asked, busy = queue.Queue(), threading.Event()

  def listen():
    try:
      while True:
        asked.put(pickle.load(sys.stdin.buffer))
    except (EOFError, OSError, pickle.UnpicklingError):
      asked.put(None)
      if busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=listen, daemon=True).start()
  first = asked.get()
  if first is None:
    return
  from experiments.launchers import attempt
  from experiments.run import opened

  lines, pair = [], first
  with opened(first[0], lines.append) as context:
    while pair is not None and not context.stop.heard:
      busy.set()
      reply = attempt(pair[1], context)
      busy.clear()
      context.stop.patient = False
      pickle.dump(reply._replace(lines=(*lines, *reply.lines)), answers)
      answers.flush()
      lines.clear()
      pair = None if context.stop.heard else asked.get()


if __name__ == '__main__':
  try:
    main()
  except (KeyboardInterrupt, BrokenPipeError):
    sys.exit(130)
