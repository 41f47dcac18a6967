"""Who reaches whom on Kubernetes, by the NetworkPolicies of deploy/k8s."""

import ipaddress
import unittest
from dataclasses import dataclass, field

import parts
import test_operator
from parts import DEPLOY, OVERLAYS, SERVICES, rendered
from test_kubernetes import ONCE, OUTSIDE, WORKLOADS, labels, named, of_kind, selects

OPERATOR = test_operator.made()
PORTS = (4222, 5000, 6222, 8086, 8222, 8443)
# Within the namespace.
REACHED = (
    {(f"daypass-{service}", "nats", port) for service in SERVICES for port in (4222, 8222)}
    | {(f"daypass-{service}", "daypass-request", 8443) for service in ("approval", "activation", "audit")}
    | {(f"backup-{what}", "nats", port) for what in ("log", "keys") for port in (4222, 8222)}
    | {("operator", "nats", 4222)}
    | {("nats", "nats", 6222)}
)
TO_MOTO = {(f"daypass-{service}", "moto", 5000) for service in ("request", "activation")}
BY_ONCE = {(job, "nats", port) for job in ("nats-setup", "restore-log", "restore-keys") for port in (4222, 8222)}
# From elsewhere: anybody, who watches, other systems that may.
CALLED = {(f"daypass-{service}", 8443) for service in SERVICES}
WATCHED = {(f"daypass-{service}", parts.HEALTH_PORT) for service in SERVICES} | {("nats", 4222), ("nats", 8222)}
TO_BUS = {("nats", 4222)}
GUEST = {"daypass.example/reaches": "nats"}


@dataclass(frozen=True)
class Caller:
    """A pod, by its labels and those of its namespace; or what is outside of the cluster, which has an address alone."""

    namespace: dict | None = None
    pod: dict = field(default_factory=dict)
    # Of pods as well: an `ipBlock` does not ask what has an address.
    address: str = "10.244.3.7"


def of_namespace(objects):
    """The labels that the cluster, and we, give ours."""
    given = [it["metadata"].get("labels", {}) for it in objects if it["kind"] == "Namespace"]
    return {"kubernetes.io/metadata.name": "daypass"} | (given[0] if given else {})


class Policies:
    """NetworkPolicies, as Kubernetes reads them."""

    def __init__(self, objects):
        self.specs = [it["spec"] for it in objects if it["kind"] == "NetworkPolicy"]
        self.pods = {it["metadata"]["name"]: labels(it) for it in objects if it["kind"] in WORKLOADS}
        self.pods["operator"] = OPERATOR["metadata"]["labels"]
        self.namespace = of_namespace(objects)

    def within(self):
        callers = {name: Caller(self.namespace, own) for name, own in self.pods.items()}
        return {
            (one, other, port)
            for one in self.pods
            for other in self.pods
            for port in PORTS
            if self.passes("egress", "to", self.pods[one], callers[other], port)
            and self.passes("ingress", "from", self.pods[other], callers[one], port)
        }

    def reached_by(self, caller):
        """From elsewhere, where nothing keeps the caller from calling."""
        return {(name, port) for name, own in self.pods.items() for port in PORTS if self.passes("ingress", "from", own, caller, port)}

    def passes(self, way, peers, own, other, port):
        mine = [it for it in self.specs if selects(it["podSelector"], own) and way.capitalize() in it["policyTypes"]]
        assert mine, "every pod is under a policy"
        return any(
            any(allowed["port"] == port for allowed in rule["ports"])
            and (peers not in rule or any(self.is_peer(peer, other) for peer in rule[peers]))
            for it in mine
            for rule in it.get(way, [])
        )

    def is_peer(self, peer, other):
        if block := peer.get("ipBlock"):
            address = ipaddress.ip_address(other.address)
            there = [ipaddress.ip_network(block["cidr"]), *map(ipaddress.ip_network, block.get("except", []))]
            return address in there[0] and not any(address in network for network in there[1:])
        if other.namespace is None:
            return False
        near = selects(peer["namespaceSelector"], other.namespace) if "namespaceSelector" in peer else other.namespace == self.namespace
        return near and selects(peer.get("podSelector", {}), other.pod)


class Reach(unittest.TestCase):
    def test_each_reaches_whom_it_needs_and_nobody_else(self):
        once = [it for folder in ONCE for it in rendered(folder)]
        for folder, more in (("overlays/production", set()), (OUTSIDE, set()), ("overlays/trial", TO_MOTO)):
            self.assertEqual(Policies([*rendered(folder), *once]).within(), REACHED | BY_ONCE | more, folder)

    def test_from_other_namespaces_one_calls_services_and_only_who_watches_or_is_let_in_sees_more(self):
        for folder in (*(f"overlays/{overlay}" for overlay in OVERLAYS), OUTSIDE):
            open_to = set()
            for workload in of_kind(folder, "StatefulSet", "Deployment"):
                for it in of_kind(folder, "NetworkPolicy"):
                    if selects(it["spec"]["podSelector"], labels(workload)):
                        open_to |= {(workload["metadata"]["name"], *opened) for opened in self.opened(it["spec"])}
            anybody = {(name, "anyone", port) for name, port in CALLED}
            watches = {(name, "monitoring", port) for name, port in WATCHED}
            let_in = {(name, "other systems", port) for name, port in TO_BUS}
            balancer = {("nats", "198.51.100.0/24", 4222)} if folder == OUTSIDE else set()
            self.assertEqual(open_to, anybody | watches | let_in | balancer, folder)

    def opened(self, policy):
        """To whom of outside, and at which ports."""
        for rule in policy.get("ingress", []):
            for port in rule["ports"]:
                if "from" not in rule:
                    yield "anyone", port["port"]
                for peer in rule.get("from", []):
                    if "ipBlock" in peer:
                        yield peer["ipBlock"]["cidr"], port["port"]
                    elif peer == {"namespaceSelector": {"matchLabels": GUEST}, "podSelector": {"matchLabels": GUEST}}:
                        yield "other systems", port["port"]
                    elif "namespaceSelector" in peer:
                        place = peer["namespaceSelector"].get("matchLabels", {})
                        yield place.get("kubernetes.io/metadata.name", "anyone"), port["port"]

    def test_another_system_reaches_nats_where_its_namespace_and_its_pod_say_so_and_there_the_port_of_clients_alone(self):
        hr = {"kubernetes.io/metadata.name": "hr"}
        callers = (
            (Caller(hr | GUEST, {"app": "hr"} | GUEST), TO_BUS),
            (Caller(hr | GUEST, {"app": "hr"}), set()),
            (Caller(hr, {"app": "hr"} | GUEST), set()),
            (Caller(hr, {"app": "hr"}), set()),
            # Labels of ours are ours in our namespace alone.
            (Caller(hr, OPERATOR["metadata"]["labels"]), set()),
            (Caller(hr | GUEST, {"app.kubernetes.io/component": "service"}), set()),
            (Caller({"kubernetes.io/metadata.name": "monitoring"}, GUEST), WATCHED),
            (Caller(address="203.0.113.9"), set()),
        )
        for folder in (*(f"overlays/{overlay}" for overlay in OVERLAYS), OUTSIDE):
            policies = Policies(rendered(folder))
            for caller, more in callers:
                self.assertEqual(policies.reached_by(caller), CALLED | more, f"{folder} {caller}")
            own = Caller(policies.namespace, {"app": "hr"} | GUEST)
            self.assertEqual(policies.reached_by(own), CALLED, "our namespace lets in nobody")

    def test_from_outside_of_the_cluster_the_load_balancer_reaches_nats_once_it_is_switched_on(self):
        balancer = Caller(address="198.51.100.17")
        self.assertEqual(Policies(rendered("overlays/production")).reached_by(balancer), CALLED)
        self.assertEqual(Policies(rendered(OUTSIDE)).reached_by(balancer), CALLED | TO_BUS)

    def test_the_load_balancer_has_the_port_of_clients_alone_and_its_name_is_in_the_certificate(self):
        def balancers(folder):
            found = (it for it in of_kind(folder, "Service") if it["spec"].get("type") == "LoadBalancer")
            return {it["metadata"]["name"]: it["spec"] for it in found if it["spec"]["selector"].get("app.kubernetes.io/name") == "nats"}

        self.assertEqual(balancers("overlays/production"), {})
        self.assertEqual(set(balancers(OUTSIDE)), {"nats-outside"})
        spec = balancers(OUTSIDE)["nats-outside"]
        self.assertEqual([(port["port"], port["targetPort"]) for port in spec["ports"]], [(4222, "client")])
        self.assertTrue(spec["loadBalancerSourceRanges"])
        before, after = (set(named(folder, "Certificate", "nats")["spec"]["dnsNames"]) for folder in ("overlays/production", OUTSIDE))
        (name,) = after - before
        self.assertIn(f"tls://{name}:4222", (DEPLOY / "README.md").read_text())

    def test_names_by_which_other_namespaces_call_are_in_the_certificate(self):
        names = named("overlays/production", "Certificate", "nats")["spec"]["dnsNames"]
        (service,) = (it for it in of_kind("overlays/production", "Service") if it["metadata"]["name"] == "nats")
        place = service["metadata"]["namespace"]
        for host in ("nats", *(f"nats-{number}.nats" for number in range(3))):
            self.assertLessEqual({f"{host}{end}" for end in ("", f".{place}.svc", f".{place}.svc.cluster.local")}, set(names))

    def test_the_metadata_of_machines_is_out_of_reach(self):
        for it in of_kind("overlays/production", "NetworkPolicy"):
            for rule in it["spec"].get("egress", []):
                for peer in rule["to"]:
                    if "ipBlock" in peer:
                        self.assertIn("169.254.0.0/16", peer["ipBlock"]["except"])


if __name__ == "__main__":
    unittest.main()
