"""Holotype: image classification by a few well chosen reference images."""

__version__ = "0.1.0"
