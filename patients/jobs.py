"""Jobs and subscribers of patients."""
