"""A development server: started by Docker Compose or from programs on this machine."""
