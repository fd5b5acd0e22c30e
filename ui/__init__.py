"""Look and feel of the page: theme, style sheet and the HTML of results."""
