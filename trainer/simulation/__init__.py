"""Episodes of a policy on a task, recorded for other programs: trajectories, a summary, a video."""
