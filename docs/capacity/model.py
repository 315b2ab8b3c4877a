#!/usr/bin/env python3
"""What one deployment carries: GitHub's limits, Postgres's growth, and which of them ends first.

    model.py [--runners-per-hour N] [--minutes M] [--standing N] [--installations N] [--hourly N] [--interval S]
             [--webhooks yes|no] [--keep-months N] [--reads N]

docs/capacity.md says where each number comes from.
"""
import argparse
import math

# GitHub's documented limits.
WRITES_A_MINUTE = 900 // 5  # points a minute; a write costs five
PAGE = 100  # runners in one answer
GROUP = 10_000  # runners in a runner group

# Ours, measured.
RESERVE = 0.10  # of each hour's calls jobs leave so much to requests
ENTRIES = 5  # of a runner that is asked for, issued, seen, on line and deleted
ENTRY, SEAL, ROW = 534, 138, 702  # bytes with indexes
KEY, DELIVERY = 366, 178  # of an idempotency key (kept for a day), of a webhook delivery (kept for a week)
SEALED_A_SECOND = 39_000
# Milliseconds of a processor, of Envoy, the service and Postgres together. A delivery is taken for as much as a provision.
PROVISION, READ, COMPARED = 3.6, 1.1, 0.06


def calls(a, runners_per_hour):
    """Calls an hour of the busiest installation, by what they are for."""
    share = runners_per_hour / a.installations
    alive = share * a.minutes / 60 + a.standing / a.installations
    return {
        "provisions": share,
        "deliveries": share if a.webhooks == "yes" else 0,
        # At worst every page has changed since; one that has not costs nothing.
        "comparisons": 3600 / a.interval * max(1, math.ceil(alive / PAGE)),
        "tokens": 1,
    }


def fits(a, runners_per_hour):
    each = calls(a, runners_per_hour)
    enough = sum(each.values()) <= a.hourly * (1 - RESERVE)
    return enough and each["provisions"] <= WRITES_A_MINUTE * 60


def most(a):
    """The most runners an hour that fit; 0 if not even comparisons do."""
    low, high = 0, 10_000_000
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(a, middle) else (low, middle - 1)
    return low


def gigabytes(a):
    """Of Postgres: what grows for ever, and what is there at a time."""
    year = a.runners_per_hour * 24 * 365
    rows = year * ROW
    entries = year * ENTRIES * (ENTRY * min(1, a.keep_months / 12) + SEAL)
    passing = a.runners_per_hour * 24 * (KEY + 2 * 7 * DELIVERY)
    return rows / 1e9, entries / 1e9, passing / 1e9


def processors(a, alive):
    """How many of the whole deployment are busy."""
    deliveries = a.runners_per_hour if a.webhooks == "yes" else 0
    asked = (a.runners_per_hour + deliveries) * PROVISION + a.reads * READ
    return (asked / 3600 + alive * COMPARED / a.interval) / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runners-per-hour", type=int, default=500)
    parser.add_argument("--minutes", type=int, default=15, help="that a runner lives")
    parser.add_argument("--standing", type=int, default=0, help="runners that stay, beside those")
    parser.add_argument("--installations", type=int, default=1)
    parser.add_argument("--hourly", type=int, default=5000, help="calls that GitHub allows an installation")
    parser.add_argument("--interval", type=int, default=60, help="RECONCILE_INTERVAL_SECONDS")
    parser.add_argument("--webhooks", choices=["yes", "no"], default="yes")
    parser.add_argument("--keep-months", type=int, default=12, help="that audit entries stay in the database, 1 to 12")
    parser.add_argument("--reads", type=int, default=10_000, help="of one runner, an hour, by all callers")
    a = parser.parse_args()
    if min(a.minutes, a.installations, a.hourly, a.interval) < 1 or min(a.runners_per_hour, a.standing, a.reads) < 0:
        parser.error("numbers must be positive")
    if not 1 <= a.keep_months <= 12:
        parser.error("--keep-months is 1 to 12")

    alive = a.runners_per_hour * a.minutes / 60 + a.standing
    each = calls(a, a.runners_per_hour)
    used = sum(each.values())
    rows, entries, passing = gigabytes(a)
    print(f"runners              {a.runners_per_hour} an hour, {alive:.0f} at a time")
    print(f"calls to GitHub      {used:.0f} of {a.hourly} an hour: " + ", ".join(f"{n} {v:.0f}" for n, v in each.items()))
    print(f"writes to GitHub     {each['provisions'] / 60:.1f} of {WRITES_A_MINUTE} a minute")
    print(f"runner groups        at least {max(1, math.ceil(alive / GROUP))}")
    print(f"Postgres             {rows:.1f} GB of runners and {entries:.1f} GB of audit log a year, {passing:.2f} GB passing")
    print(f"sealing              {a.runners_per_hour * ENTRIES / 3600 / SEALED_A_SECOND:.4%} of what it can")
    print(f"processors           {processors(a, alive):.1%} of one")
    print(f"at most              {most(a)} runners an hour with these settings")
    print("it fits" if fits(a, a.runners_per_hour) else "it does NOT fit: see docs/capacity.md, “Further”")


if __name__ == "__main__":
    main()
