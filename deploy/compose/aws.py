"""Fills moto with the organisation of the tests, always with the same ids.

    aws.py http://moto:5000 crates/test-servers/organisation/fill.py

An organisation that is there already stays: moto keeps it until its container ends.
"""

import runpy
import sys
import urllib.request

import boto3

ENDPOINT, FILL = sys.argv[1:]
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}

organizations = boto3.client("organizations", region_name="us-east-1", endpoint_url=ENDPOINT, **KEYS)
try:
    organizations.describe_organization()
except organizations.exceptions.AWSOrganizationsNotInUseException:
    urllib.request.urlopen(f"{ENDPOINT}/moto-api/seed?a=1", data=b"")
    runpy.run_path(FILL, run_name="__main__")
