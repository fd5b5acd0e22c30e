"""Video in and out: reading, analysing and writing clips as streams."""
