#!/usr/bin/env python3
"""Drain3, the reference implementation, over the lines of a file: reference.py FILE SECONDS.

All lines are learnt once, then again and again until so many seconds are over; only the latter is counted. Printed in one line, with
tabs between: name, lines, seconds the thread ran, seconds of the clock, and the group of each line of the file. Settings are the
defaults, which mask nothing: that is the fastest.
"""

import logging
import sys
import time
from importlib.metadata import version

from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig


def main():
    file, seconds = sys.argv[1], float(sys.argv[2])
    logging.disable(logging.CRITICAL)
    with open(file, encoding="utf-8", newline="\n") as text:
        lines = text.read().rstrip("\n").split("\n")
    miner = TemplateMiner(config=TemplateMinerConfig())
    learn = miner.add_log_message
    groups = [str(learn(line)["cluster_id"]) for line in lines]
    rounds = 0
    began, ran = time.perf_counter(), time.thread_time()
    while rounds == 0 or time.perf_counter() - began < seconds:
        for line in lines:
            learn(line)
        rounds += 1
    ran, clock = time.thread_time() - ran, time.perf_counter() - began
    print(f"Drain3 {version('drain3')} (Python)", rounds * len(lines), ran, clock, " ".join(groups), sep="\t")


main()
