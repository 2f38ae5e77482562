# SPDX-License-Identifier: Apache-2.0
"""The least that a command line of twelve subcommands does to print its help: argparse and nothing else."""

import argparse

parser = argparse.ArgumentParser(prog="twelve", description="A program of twelve commands.")
commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
for number in range(12):
    command = commands.add_parser(f"command-{number}", help="what it does")
    command.add_argument("subject", metavar="PID|NAME|FILE")
    for option in ("output", "format", "columns", "where", "sort", "limit"):
        command.add_argument(f"--{option}", help="what it is for")
parser.parse_args()
