"""A schema as the server's catalog describes it, and the differences between two."""
