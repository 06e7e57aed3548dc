"""What every client prints."""

import datetime


def show(status):
    now = datetime.datetime.now(datetime.timezone.utc)
    print(f"{now:%FT%T}.{now.microsecond // 1000:03}Z {status}", flush=True)
