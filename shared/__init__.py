"""What the API and the workers both use. Imports neither side."""
