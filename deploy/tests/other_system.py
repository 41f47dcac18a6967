"""A source of signals that knows what docs/guides/integrator.md says and has no client of NATS: it signs in at a server with its seed, tells
one signal through JetStream, and prints what the server says to it.

    other_system.py HOST:PORT CA SEED PUBLIC_KEY INBOX_PREFIX SUBJECT BODY
"""

import base64
import json
import socket
import ssl
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# Longer than an answer takes, on a machine that is busy.
ANSWER_SECONDS = 30


def signing_key(seed):
    """Two bytes say what it is of, two at the end are a checksum."""
    text = seed.strip()
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    return Ed25519PrivateKey.from_private_bytes(raw[2:34])


class Connection:
    def __init__(self, server, ca):
        host, port = server.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), ANSWER_SECONDS)
        # The greeting comes before TLS, byte by byte: what follows it is not for us to read.
        greeting = b""
        while not greeting.endswith(b"\r\n"):
            greeting += plain.recv(1)
        self.greeting = json.loads(greeting.removeprefix(b"INFO "))
        self.encrypted = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=host)
        self.lines = self.encrypted.makefile("rb")

    def say(self, *lines):
        self.encrypted.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def sign_in(self, seed, public_key):
        signature = signing_key(seed).sign(self.greeting["nonce"].encode())
        word = {"nkey": public_key, "sig": base64.urlsafe_b64encode(signature).decode().rstrip("="), "verbose": False, "protocol": 1}
        self.say(f"CONNECT {json.dumps(word)}", "PING")

    def heard(self, wanted):
        """The first line that begins with one of these."""
        while line := self.lines.readline().decode().strip():
            if line.startswith(wanted):
                return line
        raise SystemExit("the server has hung up")


def main(server, ca, seed, public_key, inbox_prefix, subject, body):
    connection = Connection(server, ca)
    print("told of", connection.greeting.get("connect_urls", []))
    connection.sign_in(Path(seed).read_text(), public_key)
    signed_in = connection.heard(("PONG", "-ERR"))
    if signed_in != "PONG":
        raise SystemExit(signed_in)
    inbox = f"{inbox_prefix}.1"
    connection.say(f"SUB {inbox} 1", f"PUB {subject} {inbox} {len(body.encode())}", body)
    answer = connection.heard(("MSG", "-ERR"))
    print(answer if answer.startswith("-ERR") else connection.lines.readline().decode().strip())


if __name__ == "__main__":
    main(*sys.argv[1:])
