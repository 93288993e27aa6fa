"""What starts a sweep on clouds and clusters: files and commands from one description. `python -m experiments.launch --help`."""
