"""A study on a cluster before it runs there: its jobs, what they cost, and when each would start."""
