"""Thousands of recordings -> one table of everybody's emotions; needs `requirements-archive.txt`."""
