"""From a picture to cropped faces: reading it, finding who is in it, cutting out what the network sees."""
