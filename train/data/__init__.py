"""Training faces: FER2013, pictures of one's own, and how they are varied."""
