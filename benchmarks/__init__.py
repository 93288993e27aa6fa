"""Side by side with peers, in one run. Start at README.md."""
