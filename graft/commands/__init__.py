"""What `graft` can do against a running API, one group of commands a module."""
