"""An issuer of tokens in the place of Dex: `issuer.py FOLDER`. Writes NAME.token for some people, and serves the keys at port 5556.

Its tokens are what Dex's are by its source: ID tokens by their form, for the audience that was asked for and for the client that asked.
"""

import base64
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

DEX = yaml.safe_load((Path(__file__).resolve().parents[1] / "compose/dex.yaml").read_text())
KEY = rsa.generate_private_key(65537, 2048)


def text(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value):
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def token(person, **claims):
    now = int(time.time())
    claims |= {
        "iss": DEX["issuer"],
        "sub": person["username"],
        "iat": now,
        "exp": now + 600,
        "azp": "daypass-cli",
        "name": person["username"],
        "federated_claims": {"connector_id": "local", "user_id": person["userID"]},
    }
    signed = ".".join(text(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1"}, claims))
    return f"{signed}.{text(KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class Issuer(BaseHTTPRequestHandler):
    def do_GET(self):
        public = KEY.public_key().public_numbers()
        key = {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": number(public.n), "e": number(public.e)}
        discovery = {"issuer": DEX["issuer"], "jwks_uri": f"{DEX['issuer']}/keys"}
        body = json.dumps({"keys": [key]} if self.path.endswith("/keys") else discovery).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    folder = Path(sys.argv[1])
    for person in DEX["staticPasswords"]:
        (folder / f"{person['username']}.token").write_text(token(person, aud=["daypass", "daypass-cli"], at_hash="x"))
    own = token(DEX["staticPasswords"][0], aud="daypass-cli", at_hash="x")
    (folder / "own.token").write_text(own)
    HTTPServer(("0.0.0.0", 5556), Issuer).serve_forever()


if __name__ == "__main__":
    main()
