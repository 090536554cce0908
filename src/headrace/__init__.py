"""Headrace: the AWS messaging and streaming APIs, served from your own machines."""

__version__ = "0.1.0"
