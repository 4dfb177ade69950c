"""Jobs and subscribers of billing."""
