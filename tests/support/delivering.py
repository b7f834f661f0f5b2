"""A worker process that does nothing but deliver: `python -m tests.support.delivering <dsn>`, until it is killed."""

import asyncio
import sys

from imprest_server.jobs.repeat import repeat
from tests.conftest import Database
from tests.support.channels import open_post


async def main(dsn: str) -> None:
    async with open_post(Database("", "", dsn)) as post:
        await repeat("deliver_alerts", post.worker().run_once, 0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
