"""Pictures as a page takes them."""

import re
import xml.etree.ElementTree as xml

import matplotlib.style
import numpy as np

from paper_figures import plots
from paper_figures.paper import STYLE
from paper_figures.site import stored

PATHS = './/{http://www.w3.org/2000/svg}path'


def test_a_small_svg_has_the_same_elements_at_the_same_places_and_words_as_words(tmp_path):
  with matplotlib.style.context(STYLE):
    figure, axes = plots.canvas()
    axes[0, 0].plot(np.linspace(0, 1, 50), np.random.default_rng(0).normal(size=50), marker='.', label='a curve')
    axes[0, 0].legend()
    figure.savefig(tmp_path / 'x.svg')
  whole, small = (tmp_path / 'x.svg').read_text(), stored.small(tmp_path / 'x.svg').decode()
  assert len(small) < 0.9 * len(whole)
  before, after = (xml.fromstring(text) for text in (whole, small))
  assert [e.tag for e in before.iter()] == [e.tag for e in after.iter()]
  assert [e.get('transform') for e in before.iter()] == [e.get('transform') for e in after.iter()]
  numbers = lambda tree: np.array([float(n) for p in tree.iterfind(PATHS) for n in re.findall(r'-?\d+(?:\.\d+)?', p.get('d'))])
  np.testing.assert_allclose(numbers(after), numbers(before), atol=0.0051)
  assert 'a curve' in ''.join(before.itertext())


def test_other_pictures_are_taken_as_they_are(tmp_path):
  (tmp_path / 'x.png').write_bytes(b'\x89PNG 1.2345')
  assert stored.small(tmp_path / 'x.png') == b'\x89PNG 1.2345'
