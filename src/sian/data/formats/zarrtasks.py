"""Zarr reads the chunks of a region at once, in a thread of its own; what is left of that when one read fails."""

from __future__ import annotations

import asyncio
from contextlib import suppress


def let_reads_end() -> None:
    """Wait for the other reads after one has failed: Python would speak of each of them when it ends."""
    from zarr.core.sync import sync

    async def others() -> None:
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*waiting, return_exceptions=True)

    with suppress(Exception):
        sync(others())
