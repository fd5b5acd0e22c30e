"""Results as pictures: boxes and labels, emoji, timelines."""
