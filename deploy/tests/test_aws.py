"""What the templates allow is what the code calls: no more, no less, and each service its own."""

import re
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "crates/aws-sdk/src"
TEMPLATES = ROOT / "deploy/aws"

# Which service of AWS a client of the code calls, as IAM names it: by file, and by field where a file has several.
CLIENTS = {
    ("account_access.rs", "*"): "account-access",
    ("assignments.rs", "*"): "sso",
    ("connect.rs", "sso"): "sso",
    ("directory.rs", "organizations"): "organizations",
    ("directory.rs", "sso"): "sso",
    ("directory.rs", "identity_store"): "identitystore",
    ("session_denials.rs", "*"): "organizations",
    ("sts.rs", "*"): "sts",
}
# Whose calls those of a file are. Both services that call AWS look for the instance and the application.
CALLERS = {
    "account_access.rs": {"activation"},
    "assignments.rs": {"activation"},
    "connect.rs": {"request", "activation"},
    "directory.rs": {"request"},
    "session_denials.rs": {"session denials"},
    "sts.rs": {"activation"},
}
OF_BOTH = {"account-access:ListApplications", "account-access:GetApplication"}
# AssumeRole with tags and a source identity needs these as well; who one is may always be asked.
WITH_ASSUME_ROLE = {"sts:TagSession", "sts:SetSourceIdentity"}
ALWAYS_ALLOWED = {"sts:GetCallerIdentity"}

VERBS = "assume|associate|attach|create|delete|describe|detach|disassociate|enable|get|list|lookup|provision|put|remove|set|start|tag|untag|update"
CALL = re.compile(rf"(\w+)\s*\.((?:{VERBS})_\w+)\(\)")


class Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions, of which the argument is kept."""


def short_form(loader, _suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", short_form)


def called():
    """Every action that the code needs, by who calls it."""
    actions = {}
    for file in sorted(SOURCES.glob("*.rs")):
        code = file.read_text().split("#[cfg(test)]")[0]
        for client, operation in CALL.findall(code):
            service = CLIENTS.get((file.name, client)) or CLIENTS.get((file.name, "*"))
            if service is None:
                raise AssertionError(f"{file.name}: which service is {client}, of {operation}?")
            action = f"{service}:" + "".join(word.capitalize() for word in operation.split("_"))
            callers = {"request", "activation"} if action in OF_BOTH else CALLERS[file.name]
            for caller in callers:
                actions.setdefault(caller, set()).add(action)
    actions["activation"] |= WITH_ASSUME_ROLE
    return {caller: found - ALWAYS_ALLOWED for caller, found in actions.items()}


def template(name):
    return yaml.load((TEMPLATES / name).read_text(), Loader)


def statements(resource):
    return resource["Properties"]["PolicyDocument"]["Statement"]


def actions_of(statement):
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def policies_of(resources, role):
    """The managed policies of this file that a role has, by their names."""
    named = resources[role]["Properties"]["ManagedPolicyArns"]
    names = [entry[1] if isinstance(entry, list) else entry for entry in named]
    return [resources[name] for name in names]


def allowed(name, role):
    resources = template(name)["Resources"]
    found = set()
    for policy in policies_of(resources, role):
        for statement in statements(policy):
            assert statement["Effect"] == "Allow" and "NotAction" not in statement, statement
            found |= actions_of(statement)
    return found


class Actions(unittest.TestCase):
    def test_the_code_is_understood(self):
        found = called()
        self.assertEqual(set(found), {"request", "activation", "session denials"})
        self.assertGreaterEqual(len(set().union(*found.values())), 28)
        self.assertIn("sso:CreateAccountAssignment", found["activation"])
        self.assertIn("identitystore:ListGroupMemberships", found["request"])

    def test_every_service_may_do_what_it_calls_and_nothing_else(self):
        found = called()
        self.assertEqual(allowed("services.yaml", "RequestRole"), found["request"])
        self.assertEqual(allowed("services.yaml", "ActivationRole"), found["activation"])
        self.assertEqual(allowed("session-denials.yaml", "SessionDenialsRole"), found["session denials"])

    def test_only_activation_changes_anything(self):
        reads = re.compile(r"\w[\w-]*:(Describe|Get|List)\w+")
        for action in allowed("services.yaml", "RequestRole"):
            self.assertRegex(action, reads)
        roles = [name for name, it in template("services.yaml")["Resources"].items() if it["Type"] == "AWS::IAM::Role"]
        self.assertEqual(sorted(roles), ["ActivationRole", "RequestRole"], "approval and audit have none")

    def test_no_action_has_a_wildcard_and_no_role_more_than_policies_of_its_file(self):
        for name in ("services.yaml", "session-denials.yaml"):
            resources = template(name)["Resources"]
            for resource in resources.values():
                if resource["Type"] == "AWS::IAM::ManagedPolicy":
                    for statement in statements(resource):
                        for action in actions_of(statement):
                            self.assertNotIn("*", action)
                else:
                    self.assertNotIn("Policies", resource["Properties"])

    def test_nobody_may_change_a_permission_set_or_a_role(self):
        for name, role in (("services.yaml", "RequestRole"), ("services.yaml", "ActivationRole"), ("session-denials.yaml", "SessionDenialsRole")):
            for action in allowed(name, role):
                self.assertFalse(action.startswith("iam:"), action)
                self.assertNotRegex(action, r"sso:(Put|Attach|Update|Provision|CreatePermission)\w+")


class Trust(unittest.TestCase):
    def test_target_roles_trust_activation_alone_and_ask_who_it_is_for(self):
        role = template("target-role.yaml")["Resources"]["ReadOnly"]["Properties"]
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        self.assertEqual(statement["Principal"], {"AWS": "ActivationRoleArn"})
        self.assertEqual(actions_of(statement), {"sts:AssumeRole"} | WITH_ASSUME_ROLE)
        equals = statement["Condition"]["StringEquals"]
        self.assertEqual(set(equals), {"sts:ExternalId", "aws:PrincipalOrgID"})

    def test_operations_shows_the_same_trust_policy(self):
        page = (ROOT / "docs/operations.md").read_text()
        for part in ('"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"', '"sts:ExternalId"', '"aws:PrincipalOrgID"'):
            self.assertIn(part, page)

    def test_service_accounts_of_one_name_get_one_role(self):
        for role, account in (("RequestRole", "daypass-request"), ("ActivationRole", "daypass-activation")):
            _, irsa, _ = template("services.yaml")["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
            self.assertIn(f':sub": "system:serviceaccount:${{Namespace}}:{account}"', irsa)
            self.assertIn(':aud": "sts.amazonaws.com"', irsa)

    def test_control_policies_are_written_under_another_identity(self):
        found = allowed("services.yaml", "ActivationRole")
        self.assertFalse([action for action in found if action.startswith("organizations:")])


if __name__ == "__main__":
    unittest.main()
