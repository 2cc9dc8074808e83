"""LensKit's command with a Ray of its own: ``python -m benchmarks.search.lenskit_tune ARGUMENTS``.

``lenskit tune`` joins any Ray that it finds on the machine, and waits for the one of a process that
has just ended. Here it sees what it sees on a machine without any, and starts its own at once.
"""

from __future__ import annotations

from typing import Any


def own_cluster() -> None:
    """Let ``ray.init`` of this process start a cluster, never join one."""
    import ray

    original = ray.init

    def init(address: str | None = None, **options: Any) -> Any:
        if address == "auto":
            raise ConnectionError("no cluster is to be joined")
        return original("local", **options)

    ray.init = init


if __name__ == "__main__":
    from lenskit.cli import main

    own_cluster()
    main()
