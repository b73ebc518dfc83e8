"""Migrations: files, history, lock, plan, the engine that runs them, and the proofs."""
