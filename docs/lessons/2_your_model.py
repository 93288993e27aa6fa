# %% [markdown]
# # Your model under the instruments
#
# Any flax module and any arrays can be put under the instruments; no config is needed. Here a small network learns the
# sign of a product of two numbers, and four probes look at it while it does.

# %%
import flax.linen as nn
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from dynamics import losses, network, objectives, optim, probes, study, train
from dynamics.data.sampling import sampler
from dynamics.types import Batch, Data, Problem, Task


class Net(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(2)(nn.tanh(nn.Dense(32)(nn.tanh(nn.Dense(32)(x)))))


x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
data = Data(train=Batch(jnp.asarray(x[:200]), jnp.asarray(y[:200])), test=Batch(jnp.asarray(x[200:]), jnp.asarray(y[200:])))
model, loss = network.from_flax(Net(), data.train.x), losses.cross_entropy()

# %% [markdown]
# **The instruments.** Each is a function that is chosen first and reads later.
#
# - `distance`: $|w_t - w_0|$, and the same for each layer.
# - `kernel`: the tangent kernel $K(x, x') = \nabla_w f(x) \cdot \nabla_w f(x')$ on some training inputs
#   ([1806.07572](https://arxiv.org/abs/1806.07572)). A small step of gradient descent changes the outputs by $-\eta K$
#   times the gradient of the loss by the outputs. If K does not move, training is that of a linear model; `drift` is
#   $|K_t - K_0| / |K_0|$.
# - `sharpness`: the largest eigenvalue of the Hessian of the loss. Its unit is one over a learning rate: gradient descent
#   on a quadratic diverges where it exceeds $2/\eta$ ([2103.00065](https://arxiv.org/abs/2103.00065)).
# - `hessian_spectrum`: all eigenvalues at once, as a density, from a few random vectors by Lanczos
#   ([1901.10159](https://arxiv.org/abs/1901.10159)). As a rule there are about as many large ones as classes, and a bulk
#   near 0.

# %%
instruments = {
  'performance': probes.performance(),
  'distance': probes.distance(leaves=False),
  'kernel': probes.kernel(examples=64),
  'sharpness': probes.sharpness(examples=200),
  'hessian_spectrum': probes.hessian_spectrum(examples=200, steps=40),
}


def problem(hyper, source):
  """Called while JAX traces: hyper values are scalars of one member."""
  return Problem(
    task=Task(draw=lambda key: data, outputs=2),
    model=model,
    loss=loss,
    objective=objectives.supervised()(model, loss, source),
    optimizer=optim.sgd(lr=hyper['lr']),
    batch=sampler(size=0),  # the full batch
    probes=instruments,
  )


steps = 3000
xor = study.Study(problem, steps=steps, schedule=dict.fromkeys(instruments, study.log_spaced(20, steps)))
rates = np.repeat([0.1, 0.5], 3)  # two learning rates, three seeds each: six members of one program
result = train.run(xor, seeds=[0, 1, 2] * 2, hyper={'lr': rates})

# %%
panels = (
  ('performance', 'train_loss', 'training loss (nats)'),
  ('distance', 'relative', '|w - w0| / |w0|'),
  ('kernel', 'drift', '|K - K0| / |K0|'),
  ('sharpness', 'largest', 'sharpness (1 / learning rate)'),
)
figure, axes = plt.subplots(1, 4, figsize=(12, 2.8), layout='constrained')
for axis, (probe, reading, label) in zip(axes, panels, strict=True):
  axis.set(xlabel='step', ylabel=label, xscale='symlog', xlim=(0, steps))
  values = result.arrays[probe][reading]
  values = values.isel({values.dims[2]: 0}) if values.ndim == 3 else values
  for lr, color in ((0.1, 'C0'), (0.5, 'C1')):
    group = values[rates == lr]
    axis.plot(group['step'], group.median('member'), color=color, label=f'learning rate {lr:g}')
    axis.fill_between(group['step'], group.min('member'), group.max('member'), color=color, alpha=0.2)
    if reading == 'largest':
      axis.axhline(2 / lr, color=color, linestyle=':')
axes[0].legend()
figure.savefig('instruments.png')

# %% [markdown]
# **How to read it.** The kernel moves by more than its own size: this network learns features, it is *rich*. Dotted is
# $2/\eta$, above which a step would overshoot: at the larger rate the sharpness begins there and falls, at the smaller it
# has all the room. Bands are the range over three seeds.
#
# The spectrum at the start and at the end, of one member: the density is that of eigenvalues smoothed by a narrow normal.

# %%
spectrum = result.arrays['hessian_spectrum'].sel(member=0)
figure, axis = plt.subplots(figsize=(5, 3), layout='constrained')
for number, name in ((0, 'start'), (-1, 'end')):
  axis.semilogy(spectrum['grid'][number], np.maximum(spectrum['density'][number], 1e-4), label=name)
axis.set(xlabel='eigenvalue of the Hessian (1 / learning rate)', ylabel='density')
axis.legend()
figure.savefig('spectrum.png')
last = spectrum.isel(step=-1)
print(f'trace {float(last["trace"]):.2f} +- {float(last["trace_se"]):.2f}; {float(last["outliers"]):.1f} eigenvalues stand out')

# %% [markdown]
# An estimate from random vectors comes with its standard error, here of the trace. **What to try.** `train.run(...,
# save='folder')` goes on after a kill; another activation or width; `probes.hessian_spectrum(leaves=True)` for each
# layer's own block.
