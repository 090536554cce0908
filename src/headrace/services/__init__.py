"""The AWS services, one package each, written against the primitives alone."""
