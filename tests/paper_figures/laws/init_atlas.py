"""An atlas claims nothing."""

LAWS = {}
