"""Jobs and subscribers of scheduling."""
