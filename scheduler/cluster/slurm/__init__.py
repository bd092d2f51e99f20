"""Workers as SLURM jobs: their configuration and script, the queue, and who keeps them coming."""
