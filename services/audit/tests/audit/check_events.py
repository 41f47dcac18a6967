"""Reads CloudEvents with the SDK of others, and compares each with the schema of its type in docs/asyncapi.yaml.

Usage: check_events.py ASYNCAPI [FILE]: the document's own examples, or one event per line of FILE.
"""
import copy
import json
import sys

import jsonschema
import yaml
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

document = yaml.safe_load(open(sys.argv[1]))
assert document["asyncapi"] == "3.0.0"
messages = {message["name"]: message for message in document["components"]["messages"].values()}
operation = document["operations"]["publishEvents"]
assert operation["action"] == "send" and operation["channel"] == {"$ref": "#/channels/events"}
assert len(document["channels"]["events"]["messages"]) == len(messages)


def checker(message):
    schema = copy.deepcopy(message["payload"])
    schema["components"] = document["components"]
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


def check(text):
    event = JSONFormat().read(CloudEvent, text)
    message = messages[event.get_type()]
    value = json.loads(text)
    validator = checker(message)
    validator.validate(value)
    # A check that cannot fail proves nothing: a field that is none of the schema must be refused, and so must a missing one.
    strange = copy.deepcopy(value)
    strange["data"]["details"]["strange"] = 1
    assert not validator.is_valid(strange), event.get_type()
    for field in ("id", "source", "data"):
        less = copy.deepcopy(value)
        del less[field]
        assert not validator.is_valid(less), (event.get_type(), field)


if len(sys.argv) > 2:
    texts = [line for line in open(sys.argv[2]).read().splitlines() if line]
else:
    texts = [json.dumps(example["payload"]) for message in messages.values() for example in message["examples"]]
    assert len(texts) == len(messages)
for text in texts:
    check(text)
print(len(texts))
