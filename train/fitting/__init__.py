"""Training itself: the loop, its checkpoints, teachers and starts."""
