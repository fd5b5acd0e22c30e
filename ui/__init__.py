"""The page: its tabs, its looks, what they do for visitors, and the API behind it."""
