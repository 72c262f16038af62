"""Card templates, filled from the facts of a run and from nothing else."""
