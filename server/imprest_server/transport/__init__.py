"""The gRPC edge: requests become operations, answers become messages, errors become statuses."""
