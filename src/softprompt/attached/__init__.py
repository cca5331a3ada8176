"""A backbone with producers attached: the model that a user calls, and what it is wrapped in."""
