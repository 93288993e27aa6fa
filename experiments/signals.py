"""Signals: a job that is asked to stop saves first."""

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator


@contextlib.contextmanager
def stop_flag() -> Iterator[types.SimpleNamespace]:
  """Hears Ctrl-C, SIGTERM and SIGHUP, of a terminal that closes: `heard` says that one has come. `nohup` is left alone.

  While `patient` is False there is nothing to save, and the signal raises KeyboardInterrupt; so does a second Ctrl-C. Python
  drops what is raised in a callback of its garbage collector, with a traceback: it is dropped in silence here, and `heard` stays.
  """
  stop = types.SimpleNamespace(heard=False, patient=False)

  def hear(number, frame):
    first, stop.heard = not stop.heard, True
    if not stop.patient or (number == signal.SIGINT and not first):
      raise KeyboardInterrupt
    if first:
      with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, b'\nsaving before stopping ...\n')  # print may be what the signal has interrupted

  def unraisable(dropped):
    if dropped.exc_type is not KeyboardInterrupt:
      hook(dropped)

  if threading.current_thread() is not threading.main_thread():
    yield stop  # signals go to the main thread
    return
  heard = [signal.SIGINT, signal.SIGTERM]
  heard += [signal.SIGHUP] * (signal.getsignal(signal.SIGHUP) != signal.SIG_IGN)
  before = {number: signal.signal(number, hear) for number in heard}
  hook, sys.unraisablehook = sys.unraisablehook, unraisable
  try:
    yield stop
  finally:
    sys.unraisablehook = hook
    for number, handler in before.items():
      signal.signal(number, handler)
