"""What the configs of arXiv 2312.02622 share: graphs, deep graph networks, the inits that they compare, and variants."""

WIDTH, DEPTH = 64, 8  # units of a graph convolution; how many, the readout included
INITS = {  # name -> (init, its scale)
  'Xavier': (dict(name='uniform'), 1.0),
  'Kaiming': (dict(name='uniform'), 2**0.5),
  'Virgo forward': (dict(name='virgo', variant='forward'), 1.0),
  'Virgo backward': (dict(name='virgo', variant='backward'), 1.0),
  'Virgo': (dict(name='virgo', variant='harmonic'), 1.0),
}
FIELDS = ('init', 'hyper.init_scale')
GRAPHS = dict(
  data=dict(name='graphs', inputs=WIDTH),
  model=dict(name='node_gcn', widths=(WIDTH,) * (DEPTH - 1)),
  loss=dict(name='cross_entropy'),
  objective=dict(name='next_token'),
  optimizer=dict(name='adam'),
  hyper=dict(lr=0.001),
  own_data=True,
  layout='map',
)
SETTINGS = {
  '': {},
  'attachment': {'data.kind': 'attachment'},
  'sparse': {'data.degree': 3},
  'deep': {'model.widths': (WIDTH,) * (2 * DEPTH - 1)},
}
