"""A model goes on learning from pictures of one's own, with classes of one's own."""
