"""From faces over time to a story: who is who, what holds still, rows and sums of it."""
