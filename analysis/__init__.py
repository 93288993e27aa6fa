"""Tables, statistics and claims. No jax, and no knowledge of how a run was made beyond its cell."""
