"""A released model from one plan: its stages trained, their end averaged, corrected and exported."""
