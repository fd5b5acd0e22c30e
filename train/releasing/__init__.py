"""A released model from one plan: its stages trained, their best ends averaged, corrected and exported."""
