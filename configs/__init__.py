"""One file a figure: `get_config()`, and a docstring with arXiv id, command, run time and expected number."""
