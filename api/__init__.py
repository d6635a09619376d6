"""The HTTP side: Flask, and nothing that computes."""
