"""Fills moto with the organisation of the tests (crates/test-servers/organisation/fill.py), always with the same ids.

    aws.py http://moto:5000

An organisation that is there already stays: moto keeps it until its container ends.
"""

import runpy
import sys
import urllib.request

import boto3

ENDPOINT = sys.argv[1]
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}

organizations = boto3.client("organizations", region_name="us-east-1", endpoint_url=ENDPOINT, **KEYS)
try:
    organizations.describe_organization()
except organizations.exceptions.AWSOrganizationsNotInUseException:
    urllib.request.urlopen(f"{ENDPOINT}/moto-api/seed?a=1", data=b"")
    runpy.run_path("/etc/daypass/fill.py", run_name="__main__")
