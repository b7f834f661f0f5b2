"""Imprest clients: what call controllers, agents and admins import to talk to an Imprest server."""
