"""Fills an empty AWS emulator with the organisation of the end-to-end tests, and prints its ids as JSON.

    python fill.py ENDPOINT

INVARIANT: everything goes through boto3, as an administrator of a real organisation would do it.
"""

import json
import sys

import boto3

ENDPOINT = sys.argv[1]
KEYS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}

# Unit: the unit above it. Three levels under the root.
UNITS = {"workloads": None, "prod": "workloads", "payments": "prod", "dev": "workloads", "sandbox": None}
# Account: its unit and tags.
ACCOUNTS = {
    "payments_prod": ("payments", {"env": "prod", "team": "payments"}),
    "shop_prod": ("prod", {"env": "prod", "team": "shop"}),
    "shop_dev": ("dev", {"env": "dev", "team": "shop"}),
    "playground": ("sandbox", {"env": "sandbox"}),
}
PERMISSION_SETS = {"read_only": ("ReadOnly", "PT1H"), "administrator": ("Administrator", "PT2H")}
GROUPS = {
    "developers": ["ada"],
    "approvers": ["bob", "dave"],
    "auditors": ["eve"],
    "admins": ["carol", "dave"],
}
USERS = ["ada", "bob", "eve", "carol", "dave"]
ROLE_NAME = "Deployer"
ROLE_IN = "payments_prod"
ROLE_SESSION_MAX_SECONDS = 4 * 3600


def client(service, **keys):
    return boto3.client(service, region_name="us-east-1", endpoint_url=ENDPOINT, **(keys or KEYS))


def organisation():
    organizations = client("organizations")
    created = organizations.create_organization(FeatureSet="ALL")["Organization"]
    root = organizations.list_roots()["Roots"][0]["Id"]
    units = {}
    for name, parent in UNITS.items():
        above = units[parent] if parent else root
        unit = organizations.create_organizational_unit(ParentId=above, Name=name)
        units[name] = unit["OrganizationalUnit"]["Id"]
    accounts = {}
    for name, (unit, tags) in ACCOUNTS.items():
        account = organizations.create_account(
            AccountName=name.replace("_", "-"),
            Email=f"{name}@example.com",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )["CreateAccountStatus"]["AccountId"]
        organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=units[unit])
        accounts[name] = account
    role = deployer(accounts[ROLE_IN])
    return {
        "management_account": created["MasterAccountId"],
        "units": {"root": root, **units},
        "accounts": accounts,
        "deployer_role": role,
    }


def deployer(account):
    """The role is made inside its own account, as the role that Organizations leaves there for that."""
    inside = client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole", RoleSessionName="setup"
    )["Credentials"]
    iam = client(
        "iam",
        aws_access_key_id=inside["AccessKeyId"],
        aws_secret_access_key=inside["SecretAccessKey"],
        aws_session_token=inside["SessionToken"],
    )
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
            }
        ],
    }
    return iam.create_role(
        RoleName=ROLE_NAME,
        AssumeRolePolicyDocument=json.dumps(trust),
        MaxSessionDuration=ROLE_SESSION_MAX_SECONDS,
    )["Role"]["Arn"]


def identity_center():
    sso = client("sso-admin")
    instance = sso.list_instances()["Instances"][0]
    # moto appends to the instance ARN that a caller names; see `moto::instance_arn`.
    arn = instance["InstanceArn"].replace(":instance/", ":permissionSet/")
    store = instance["IdentityStoreId"]
    sets = {}
    for key, (name, duration) in PERMISSION_SETS.items():
        made = sso.create_permission_set(InstanceArn=arn, Name=name, SessionDuration=duration)
        sets[key] = made["PermissionSet"]["PermissionSetArn"]
    identitystore = client("identitystore")
    users = {
        name: identitystore.create_user(
            IdentityStoreId=store,
            UserName=name,
            DisplayName=name.capitalize(),
            Name={"GivenName": name.capitalize(), "FamilyName": "Example"},
        )["UserId"]
        for name in USERS
    }
    groups = {}
    for name, members in GROUPS.items():
        group = identitystore.create_group(IdentityStoreId=store, DisplayName=name)["GroupId"]
        for member in members:
            identitystore.create_group_membership(
                IdentityStoreId=store, GroupId=group, MemberId={"UserId": users[member]}
            )
        groups[name] = group
    return {
        "instance_arn": arn,
        "identity_store_id": store,
        "permission_sets": sets,
        "users": users,
        "groups": groups,
    }


def main():
    json.dump({**organisation(), **identity_center()}, sys.stdout)


if __name__ == "__main__":
    main()
