"""Peewee models as Python source, made from a live schema so that they create it again exactly."""
