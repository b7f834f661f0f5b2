"""What became of a hold, and what a transaction did, in plain words. Pure: from what the server told to text."""

from imprest_client.ctl.stories.event import Event
from imprest_client.ctl.stories.hold import story_of_hold
from imprest_client.ctl.stories.transaction import story_of_transaction

__all__ = ["Event", "story_of_hold", "story_of_transaction"]
