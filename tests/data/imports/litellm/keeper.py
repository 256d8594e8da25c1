"""A callback for the LiteLLM proxy: keeps each StandardLoggingPayload and the row of the spend log built of it."""

import json
import re
from datetime import date, datetime

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload

PATHS = r"/[^\"\s\\]*/site-packages/"  # of this machine, in tracebacks


def write(name, value):
    text = json.dumps(value, default=lambda each: each.isoformat() if isinstance(each, datetime | date) else str(each))
    with open(name, "a") as stream:
        stream.write(re.sub(PATHS, "site-packages/", text) + "\n")


class Keeper(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        write("proxy_payloads.jsonl", kwargs.get("standard_logging_object"))
        write("proxy_spend.jsonl", get_logging_payload(kwargs, response_obj, start_time, end_time))

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        write("proxy_payloads.jsonl", kwargs.get("standard_logging_object"))


keeper = Keeper()
