"""The instruments, one family a file. Every maker takes (apply, loss) first, and its own choices as keywords."""

from dynamics.probes.alignment import alignment
from dynamics.probes.collapse import collapse
from dynamics.probes.distance import distance, norms
from dynamics.probes.meters import meters
from dynamics.probes.performance import performance

__all__ = ['alignment', 'collapse', 'distance', 'meters', 'norms', 'performance']
