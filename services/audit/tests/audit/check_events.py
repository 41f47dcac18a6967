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
operations = document["operations"]
assert operations["publishEvents"] == {"action": "send", "channel": {"$ref": "#/channels/events"}}
assert operations["takeSignals"] == {"action": "receive", "channel": {"$ref": "#/channels/signals"}}


def messages_of(channel):
    refs = [message["$ref"].rsplit("/", 1)[1] for message in document["channels"][channel]["messages"].values()]
    found = [document["components"]["messages"][name] for name in refs]
    return {message["name"]: message for message in found}


messages = messages_of("events")
signals = messages_of("signals")
assert len(messages) + len(signals) == len(document["components"]["messages"])


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
told = 0
for message in signals.values():
    validator = checker(message)
    for example in message.get("examples", []):
        signal = example["payload"]
        assert JSONFormat().read(CloudEvent, json.dumps(signal)).get_type() == message["name"]
        validator.validate(signal)
        strange = copy.deepcopy(signal)
        strange["data"]["strange"] = 1
        assert not validator.is_valid(strange), message["name"]
        told += 1
assert told >= 2
print(len(texts))
