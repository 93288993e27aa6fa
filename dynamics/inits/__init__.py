"""Initial distributions: `name(**fields, **hyper values)` gives an init, (key, leaves, data) -> params.

An init is joint over all leaves and may look at the data, because balanced or data-dependent starts are no products of
distributions; `independent` is the joint init of independent leaves. One that looks at the forward pass too, at residual branches
or at what layers give on the data, takes the model as a keyword: (key, leaves, data, *, model) -> params.
"""

from dynamics.components import makers
from dynamics.inits.independent import Init, independent

globals().update(makers(__name__, __path__))
__all__ = [*makers(__name__, __path__), 'Init', 'independent']
