"""Training dynamics as pure JAX: problems, probes and the loop that joins them. Start at `dynamics.types`."""
