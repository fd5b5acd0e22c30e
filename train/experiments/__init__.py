"""Many runs side by side: plans of them, tables of what they came to, and means of their weights."""
