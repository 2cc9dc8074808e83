"""A data set in words, as ``recsearch data show`` prints it."""

from __future__ import annotations

from typing import Any


def lines(facts: dict[str, Any]) -> list[str]:
    """What ``recsearch data show`` found, a line for each thing."""
    from recsearch.identity import short

    found = [
        f"{'name':<12} {facts['name']}  ({facts['title']})",
        f"{'users':<12} {facts['users']:,}",
        f"{'items':<12} {facts['items']:,} known, {facts['rated_items']:,} rated",
        f"{'ratings':<12} {facts['ratings']:,} ({facts['density']:.2%} of all pairs)",
        *_bars(facts["histogram"]),
        *(_spread(facts["profile"][f"{noun}s"], noun) for noun in ("user", "item")),
    ]
    if facts["first"] is not None:
        found.append(f"{'given':<12} {facts['first']} to {facts['last']} UTC")
    found += [
        f"{'dataset id':<12} {facts['dataset_id']}",
        f"{'source':<12} {facts['origin']} ({official(facts)})",
    ]
    if facts["sha256"] is not None:
        found.append(f"{'SHA-256':<12} {facts['sha256']}")
    found += [f"{'note':<12} {note}" for note in facts["notes"]]
    splits = facts["splits"]
    if splits["problem"] is not None:
        return [*found, f"{'split':<12} none: {splits['problem']}"]
    found.append(f"{'split':<12} {splits['text']}")
    found += [
        f"{'':<12} part {part['part']}: {short(part['split_id'])}, {part['eval_users']:,} users, "
        f"{part['train_ratings']:,} training ratings"
        for part in splits["parts"]
    ]
    return found


def _spread(counts: dict[str, Any], noun: str) -> str:
    return (
        f"{f'per {noun}':<12} {counts['least']:,} to {counts['most']:,} ratings, median "
        f"{counts['median']:,g}, Gini {counts['gini']:.3f}"
    )


def _bars(histogram: dict[str, int], width: int = 30, most: int = 12) -> list[str]:
    if len(histogram) > most:
        values = list(histogram)
        return [f"{'':<12} {len(values)} different values from {values[0]} to {values[-1]}"]
    top = max(histogram.values())
    return [
        f"{'':<12} {star:>5} {'#' * round(width * count / top):<{width}} {count:>11,}"
        for star, count in histogram.items()
    ]


def official(row: dict[str, Any]) -> str:
    """Whether a file is the official archive."""
    if row["generated"]:
        return "generated"
    if row["sha256"] is None:
        return ""
    words = {True: "official", False: "not official", None: "no official digest known"}
    return words[row["official"]]
