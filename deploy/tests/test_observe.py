"""What watches asks for metrics that there are, and every alert says what to do."""

import json
import re
import unittest

import yaml

import parts
from parts import DEPLOY, ROOT, SERVICES, compose

OBSERVE = DEPLOY / "observe"
# Of the blackbox exporter.
OF_OTHERS = {"probe_success", "probe_ssl_earliest_cert_expiry"}
SEVERITIES = {"page", "ticket"}
INSTRUMENT = re.compile(r'\b[a-z0-9]+_(gauge|counter|histogram|up_down_counter)\("([a-z_.]+)"\)(.*?)\.build\(\)', re.DOTALL)
UNIT = re.compile(r'\.with_unit\("(.+?)"\)')
# OpenTelemetry's units by their names in Prometheus.
UNITS = {"s": "_seconds", "By": "_bytes", "ms": "_milliseconds", "": ""}
# Words of PromQL that are no metrics.
WORDS = set("absent and by count for histogram_quantile increase le max offset or provider kind rate sum time unless".split())


def exported():
    """The series that the collector makes of each instrument of the code, by OpenTelemetry's rules for Prometheus."""
    found = {}
    for file in sorted([*ROOT.glob("services/*/src/**/*.rs"), *ROOT.glob("crates/*/src/**/*.rs")]):
        code = file.read_text().split("#[cfg(test)]")[0]
        for kind, name, rest in INSTRUMENT.findall(code):
            unit = UNIT.search(rest)
            base = name.replace(".", "_") + UNITS[unit[1] if unit else ""]
            match kind:
                case "counter":
                    found[name] = {base + "_total"}
                case "histogram":
                    found[name] = {f"{base}_{part}" for part in ("bucket", "sum", "count")}
                case _:
                    found[name] = {base}
    return found


def series(expression):
    """The names of series in an expression of PromQL."""
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\[[^\]]*\]', "", expression)
    bare = re.sub(r"\b(?:by|without|offset)\s*(?:\([^)]*\)|\d+[smhd])", "", bare)
    return {word for word in re.findall(r"\b[a-z_][a-z0-9_:]*\b", bare) if word not in WORDS}


def rules():
    groups = yaml.safe_load((OBSERVE / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    return json.loads((OBSERVE / "dashboard.json").read_text())["panels"]


def expressions():
    asked = [rule["expr"] for rule in rules()]
    return asked + [target["expr"] for panel in panels() for target in panel["targets"]]


def prometheus():
    return yaml.safe_load((DEPLOY / "compose/prometheus.yaml").read_text())


class Metrics(unittest.TestCase):
    def test_the_code_is_understood(self):
        documented = set(re.findall(r"^\| `(daypass\.[a-z_.]+)` \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE))
        self.assertEqual(set(exported()), documented)
        self.assertEqual(exported()["daypass.relay.lag"], {"daypass_relay_lag_seconds"})
        self.assertEqual(exported()["daypass.drift.found"], {"daypass_drift_found_total"})
        self.assertIn("daypass_access_past_end_seconds_bucket", exported()["daypass.access.past_end"])

    def test_what_is_asked_for_is_exported(self):
        known = set().union(*exported().values()) | OF_OTHERS
        for expression in expressions():
            asked = series(expression)
            self.assertTrue(asked, expression)
            self.assertLessEqual(asked, known, expression)

    def test_the_dashboard_shows_every_metric(self):
        shown = set().union(*(series(target["expr"]) for panel in panels() for target in panel["targets"]))
        for name, ways in exported().items():
            self.assertTrue(shown & ways, name)

    def test_kinds_and_providers_are_those_of_the_code(self):
        code = (ROOT / "services/activation/src/meters.rs").read_text()
        for expression in expressions():
            for label, value in re.findall(r'(kind|provider)!?="([a-z_]+)"', expression):
                self.assertIn(f'"{value}"', code, label)


class Alerts(unittest.TestCase):
    def test_prometheus_takes_them_and_they_fire_when_they_should(self):
        promtool = parts.tool("debian/usr/bin/promtool")
        parts.run([promtool, "check", "rules", OBSERVE / "alerts.yaml"])
        parts.run([promtool, "check", "config", "--syntax-only", DEPLOY / "compose/prometheus.yaml"])
        parts.run([promtool, "test", "rules", DEPLOY / "tests/alerts.yaml"])

    def test_every_alert_is_seen_to_fire(self):
        cases = yaml.safe_load((DEPLOY / "tests/alerts.yaml").read_text())["tests"]
        fired = {
            case["alertname"] for test in cases for case in test["alert_rule_test"] if case.get("exp_alerts")
        }
        self.assertEqual(fired, {rule["alert"] for rule in rules()})

    def test_every_alert_has_a_row_and_a_runbook(self):
        page = (ROOT / "docs/alerts.md").read_text()
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
        self.assertEqual(set(rows), {rule["alert"] for rule in rules()})
        for rule in rules():
            self.assertIn(rule["labels"]["severity"], SEVERITIES)
            runbook = rule["annotations"]["runbook"]
            self.assertTrue((ROOT / runbook).is_file(), runbook)
            severity, *_, link = rows[rule["alert"]].split(" | ")
            self.assertEqual(severity, rule["labels"]["severity"], rule["alert"])
            self.assertIn(f"({runbook.removeprefix('docs/')})", link)

    def test_silence_is_told_of_after_as_many_minutes_as_the_page_says(self):
        collector = yaml.safe_load((DEPLOY / "compose/collector.yaml").read_text())
        remembered = collector["exporters"]["prometheus"]["metric_expiration"]
        (silent,) = (rule for rule in rules() if rule["alert"] == "DaypassSilent")
        minutes = sum(int(time.removesuffix("m")) for time in (remembered, silent["for"]))
        (row,) = re.findall(r"^\| `DaypassSilent` .*$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)
        self.assertIn(f"| {minutes} minutes |", row)

    def test_jobs_and_modules_are_those_that_are_asked(self):
        jobs = {job["job_name"]: job for job in prometheus()["scrape_configs"]}
        named = {job for expression in expressions() for job in re.findall(r'job="([a-z-]+)"', expression)}
        self.assertLessEqual(named, set(jobs))
        modules = yaml.safe_load((OBSERVE / "blackbox.yaml").read_text())["modules"]
        asked = {module for job in jobs.values() for module in job.get("params", {}).get("module", [])}
        self.assertEqual(asked, set(modules))
        (health,) = jobs["daypass-health"]["static_configs"]
        self.assertEqual(health["targets"], [f"{service}:{parts.HEALTH_PORT}" for service in SERVICES])
        (nats,) = jobs["nats-health"]["static_configs"]
        self.assertEqual(nats["targets"], [f"http://nats-{number}:8222/healthz" for number in (1, 2, 3)])
        (shown,) = jobs["daypass-certificate"]["static_configs"]
        self.assertEqual(shown["targets"], [f"{service}:8443" for service in SERVICES])
        (shown,) = jobs["nats-certificate"]["static_configs"]
        self.assertEqual(shown["targets"], [f"nats-{number}:4222" for number in (1, 2, 3)])

    def test_certificates_are_told_of_when_they_should_have_been_renewed_and_have_not_ended(self):
        for job, file, name in (
            ("daypass-certificate", "template/certificate.yaml", "daypass"),
            ("nats-certificate", "nats/certificate.yaml", "nats"),
        ):
            (rule,) = (rule for rule in rules() if f'job="{job}"' in rule["expr"])
            told_at = int(re.search(r"- time\(\) < (\d+)$", rule["expr"])[1])
            certificate = yaml.safe_load((DEPLOY / "k8s/base" / file).read_text())
            self.assertEqual(certificate["metadata"]["name"], name)
            renewed_at = 3600 * int(certificate["spec"]["renewBefore"].removesuffix("h"))
            # A day in which cert-manager tries again.
            self.assertLess(told_at + 86400, renewed_at)

    def test_who_is_asked_is_in_reach_of_who_asks(self):
        networks = {name: set(service.get("networks", [])) for name, service in compose()["services"].items()}
        for name in [*SERVICES, "nats-1", "nats-2", "nats-3", "prometheus"]:
            self.assertTrue(networks[name] & networks["blackbox"], name)
        for name in [*SERVICES, "prometheus"]:
            self.assertTrue(networks[name] & networks["collector"], name)


if __name__ == "__main__":
    unittest.main()
