"""The stubs of the Imprest API, generated from proto/imprest."""
