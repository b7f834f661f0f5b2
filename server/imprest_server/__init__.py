"""Imprest server: a prepaid credit ledger behind gRPC, on Postgres."""

import os

# gRPC reads these when it is first imported. Starting Postgres forks, and gRPC's fork handlers crash the child while
# gRPC is busy (measured); nothing of ours uses gRPC in a forked child. Its own error lines say in its words what our
# messages say in ours.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

__version__ = "0.1.0"
