"""Where workers come from: this machine, its GPUs, SLURM, a scheduler elsewhere."""
