"""What is known of the test photos."""

ASTRONAUT_FACE = (175, 70, 100, 125)  # x, y, w, h, read off the picture by eye
