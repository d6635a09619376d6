"""The records that cross a boundary: request bodies, responses, and what is kept in Redis."""
