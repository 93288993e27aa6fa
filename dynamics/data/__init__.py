"""Tasks: key -> arrays on the device, one family a file. `name(**choices)` gives a `dynamics.types.Task`."""

from dynamics.data.images import images
from dynamics.data.modular import modular
from dynamics.data.parity import parity
from dynamics.data.teacher import teacher

__all__ = ['images', 'modular', 'parity', 'teacher']
