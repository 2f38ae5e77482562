# SPDX-License-Identifier: Apache-2.0
"""Gather the handles of many dump files with Dask, and ask DuckDB who has most of them.

Usage: fleet_dask.py FOLDER OUTPUT [--parts N] [--scheduler ADDRESS]. Without a scheduler a cluster
is started on this machine; with one, each of its machines must see both folders under these names.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path

import duckdb
from distributed import Client, LocalCluster

import snapcore


def gather(paths: list[str], output: str) -> tuple[int, list[str]]:
    """Write the handles of some files; give the number of rows, and the files that have none."""
    scan = snapcore.scan(paths, "handles", workers=1)
    # Names of files in it are unique, so that all workers write into one folder.
    rows = scan.to_parquet(output, partition=("host", "day"), append=True)
    return rows, [found.path for found in scan.diagnostics if found.severity == "error"]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("output")
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--scheduler")
    options = parser.parse_args()
    paths = sorted(map(str, Path(options.folder).rglob("*.dmp")))
    parts = [paths[i :: options.parts] for i in range(options.parts)]
    with ExitStack() as stack:
        cluster = options.scheduler or stack.enter_context(
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        )
        client = stack.enter_context(Client(cluster))
        done = client.gather([client.submit(gather, p, options.output) for p in parts if p])
    with duckdb.connect() as connection:
        by_host = connection.execute(
            "SELECT host, count(*) AS handles FROM read_parquet($1, hive_partitioning = true) "
            "GROUP BY host ORDER BY handles DESC, host",
            [f"{options.output}/**/*.parquet"],
        ).fetchall()
    print(
        json.dumps(
            {
                "rows": sum(rows for rows, _ in done),
                "not_read": [path for _, missing in done for path in missing],
                "handles_by_host": by_host,
            }
        )
    )


if __name__ == "__main__":
    main()
