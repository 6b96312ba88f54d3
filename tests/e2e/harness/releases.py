# e2e/harness/releases.py - many releases in one proxy: each with its route, its two origins and its rollout, all of one name.
import time

from .origin import reply
from .waiting import DEADLINE_S, wait_for


def answers(body, *fields, status="200 OK"):
    return reply(body, *fields, status=status)


class Releases:
    """cases: {name: {"steps": [...], "guardrails": [...], "route": {...}, "upstream": {...}, "canary_upstream": {...}, ...}}; what else
    a case has goes into its rollout. The route of a case is the path /NAME; its stable answers `stable`, its canary `canary`."""

    def __init__(self, make_origin, start_proxy, cases, **top):
        self.stable = {name: make_origin(answers(b"stable")) for name in cases}
        self.canary = {name: make_origin(answers(b"canary")) for name in cases}
        upstreams, routes, rollouts = top.pop("upstreams", {}), [], {}
        for name, case in cases.items():
            case = dict(case)
            upstreams[f"s-{name}"] = {"endpoints": [self.stable[name]], **case.pop("upstream", {})}
            upstreams[f"c-{name}"] = {"endpoints": [self.canary[name]], **case.pop("canary_upstream", {})}
            split = {f"s-{name}": 100, f"c-{name}": 0}
            routes.append({"name": name, "match": {"path": {"prefix": f"/{name}"}}, "split": split, **case.pop("route", {})})
            rollouts[name] = {"route": name, "stable": f"s-{name}", "canary": f"c-{name}", "revision": "1", **case}
        self.proxy = start_proxy(upstreams=upstreams, routes=routes, rollouts=rollouts, **top)
        self.client = self.proxy.client()

    def say(self, name, action):
        status, answer = self.proxy.admin("POST", f"/api/v1/rollouts/{name}/{action}", {"reason": f"test: {action}"})
        assert status == 200, (name, action, answer)
        return answer["rollout"]

    def climb(self, name, weight):
        """Started, and promoted until the canary has that weight."""
        view = self.say(name, "start")
        while view["weight"] < weight:
            view = self.say(name, "promote")
        assert view["weight"] == weight, view
        return view

    def views(self):
        status, answer = self.proxy.admin("GET", "/api/v1/rollouts")
        assert status == 200, answer
        return {view["name"]: view for view in answer["rollouts"]}

    def view(self, name):
        return self.views()[name]

    def get(self, name, *fields):
        return self.client.get(f"/{name}", *fields)

    def send(self, name, count, *fields):
        return [self.get(name, *fields) for _ in range(count)]

    def send_until(self, name, *states, fields=()):
        give_up = time.monotonic() + DEADLINE_S
        while self.view(name)["state"] not in states:
            assert time.monotonic() < give_up, (self.view(name), self.proxy.error_log())
            self.send(name, 20, *fields)
        return self.view(name)

    def canary_count(self, name):
        return len(self.canary[name].requests)

    def expect_no_exposure(self, name, *fields):
        before = self.canary_count(name)
        assert {answer.body for answer in self.send(name, 30, *fields)} == {b"stable"}
        assert self.canary_count(name) == before, f"{name}: somebody still meets the canary"

    def incidents(self, name):
        """Newest first."""
        status, answer = self.proxy.admin("GET", "/api/v1/incidents?limit=1000")
        assert status == 200, answer
        return [incident for incident in answer["incidents"] if incident["rollout"] == name]

    def incident(self, name):
        """The only one, once exposure is at zero."""
        wait_for(lambda: [i["time_to_zero_exposure_ms"] is not None for i in self.incidents(name)] == [True],
                 lambda: (name, self.incidents(name), self.proxy.error_log()))
        return self.incidents(name)[0]
